// colbert_pg from Go with pgx: go run search.go, with PGHOST etc. in the environment.
package main

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"log"
	"math"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"
)

// header precedes the numbers in the binary format of a multivector.
type header struct {
	Version, Element uint8 // 1, and 0 for float4
	Dims             uint16
	Tokens           uint32
}

func toBinary(tokens [][]float32) []byte {
	var b bytes.Buffer
	binary.Write(&b, binary.LittleEndian, header{1, 0, uint16(len(tokens[0])), uint32(len(tokens))})
	for _, token := range tokens {
		binary.Write(&b, binary.LittleEndian, token)
	}
	return b.Bytes()
}

func fromBinary(data []byte) ([][]float32, error) {
	var h header
	r := bytes.NewReader(data)
	if err := binary.Read(r, binary.LittleEndian, &h); err != nil {
		return nil, err
	}
	tokens := make([][]float32, h.Tokens)
	for i := range tokens {
		tokens[i] = make([]float32, h.Dims)
		if err := binary.Read(r, binary.LittleEndian, tokens[i]); err != nil {
			return nil, err
		}
	}
	return tokens, nil
}

// register makes pgx pass []byte as it is. Of a pool, call it in AfterConnect.
func register(ctx context.Context, conn *pgx.Conn) error {
	var oid uint32
	if err := conn.QueryRow(ctx, "SELECT 'multivector'::regtype::oid").Scan(&oid); err != nil {
		return err
	}
	conn.TypeMap().RegisterType(&pgtype.Type{Name: "multivector", OID: oid, Codec: pgtype.ByteaCodec{}})
	return nil
}

// encode stands for an encoder's output: two tokens of four dims.
func encode(i int) [][]float32 {
	x := float64(i)
	return [][]float32{{float32(math.Cos(x)), float32(math.Sin(x)), float32(math.Cos(2 * x)), float32(math.Sin(2 * x))},
		{float32(math.Sin(x)), float32(math.Cos(x)), 0, 1}}
}

func run(ctx context.Context) error {
	conn, err := pgx.Connect(ctx, "")
	if err != nil {
		return err
	}
	defer conn.Close(ctx)
	for _, sql := range []string{
		"CREATE EXTENSION IF NOT EXISTS colbert_pg",
		"DROP TABLE IF EXISTS passages",
		"CREATE TABLE passages (id bigint PRIMARY KEY, doc multivector(4))"} {
		if _, err := conn.Exec(ctx, sql); err != nil {
			return err
		}
	}
	if err := register(ctx, conn); err != nil {
		return err
	}

	// Text with a cast from text, and the binary format.
	text := strings.ReplaceAll(fmt.Sprint(encode(1)), " ", ",")
	if _, err := conn.Exec(ctx, "INSERT INTO passages VALUES ($1, $2::text::multivector)", 1, text); err != nil {
		return err
	}
	if _, err := conn.Exec(ctx, "INSERT INTO passages VALUES ($1, $2)", 2, toBinary(encode(2))); err != nil {
		return err
	}

	// COPY, in the binary format.
	i := 2
	rows := pgx.CopyFromFunc(func() ([]any, error) {
		if i++; i > 200 {
			return nil, nil
		}
		return []any{int64(i), toBinary(encode(i))}, nil
	})
	if _, err := conn.CopyFrom(ctx, pgx.Identifier{"passages"}, []string{"id", "doc"}, rows); err != nil {
		return err
	}

	for _, sql := range []string{
		"CREATE INDEX ON passages USING colbert_hnsw (doc)",
		"SET enable_seqscan = off"} { // the table is small
		if _, err := conn.Exec(ctx, sql); err != nil {
			return err
		}
	}
	const search = "SELECT id, maxsim(doc, $1) AS score FROM passages ORDER BY score DESC LIMIT 3"
	query := toBinary(encode(7))
	plan, err := conn.Query(ctx, "EXPLAIN "+search, query)
	if err != nil {
		return err
	}
	lines, err := pgx.CollectRows(plan, pgx.RowTo[string])
	if err != nil {
		return err
	}
	if strings.Contains(strings.Join(lines, "\n"), "Index Scan using passages_doc_idx") {
		fmt.Println("index")
	}
	for _, form := range []struct {
		sql   string
		query any
	}{{strings.Replace(search, "$1", "$1::text::multivector", 1), strings.ReplaceAll(fmt.Sprint(encode(7)), " ", ",")}, {search, query}} {
		found, err := conn.Query(ctx, form.sql, form.query)
		if err != nil {
			return err
		}
		var id int64
		var score float64
		if _, err := pgx.ForEachRow(found, []any{&id, &score}, func() error {
			fmt.Printf("%d %.3f\n", id, score)
			return nil
		}); err != nil {
			return err
		}
	}

	var doc []byte
	if err := conn.QueryRow(ctx, "SELECT doc FROM passages WHERE id = 1").Scan(&doc); err != nil {
		return err
	}
	tokens, err := fromBinary(doc)
	if err != nil {
		return err
	}
	var numbers []string
	for _, token := range tokens {
		for _, x := range token {
			numbers = append(numbers, fmt.Sprintf("%.3f", x))
		}
	}
	fmt.Println(strings.Join(numbers, " "))
	return nil
}

func main() {
	if err := run(context.Background()); err != nil {
		log.Fatal(err)
	}
}
