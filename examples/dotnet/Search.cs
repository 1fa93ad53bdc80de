// colbert_pg from .NET with Npgsql: dotnet run -- 'Host=localhost;Username=postgres'
// Not tested: Debian has no .NET.
using System.Buffers.Binary;
using System.Globalization;
using Npgsql;

// The binary format of a multivector: version 1, element 0 (float4), dims, tokens; then the numbers.
static byte[] ToBinary(float[][] tokens)
{
	var bytes = new byte[8 + 4 * tokens.Length * tokens[0].Length];
	bytes[0] = 1;
	BinaryPrimitives.WriteUInt16LittleEndian(bytes.AsSpan(2), (ushort) tokens[0].Length);
	BinaryPrimitives.WriteInt32LittleEndian(bytes.AsSpan(4), tokens.Length);
	var at = 8;
	foreach (var x in tokens.SelectMany(token => token))
	{
		BinaryPrimitives.WriteSingleLittleEndian(bytes.AsSpan(at), x);
		at += 4;
	}
	return bytes;
}

static float[][] FromBinary(byte[] bytes)
{
	var dims = BinaryPrimitives.ReadUInt16LittleEndian(bytes.AsSpan(2));
	return Enumerable.Range(0, BinaryPrimitives.ReadInt32LittleEndian(bytes.AsSpan(4)))
		.Select(token => Enumerable.Range(0, dims)
			.Select(i => BinaryPrimitives.ReadSingleLittleEndian(bytes.AsSpan(8 + 4 * (token * dims + i)))).ToArray())
		.ToArray();
}

static string ToText(float[][] tokens) =>
	"[" + string.Join(",", tokens.Select(token => "[" + string.Join(",", token.Select(x => x.ToString("R", CultureInfo.InvariantCulture))) + "]")) + "]";

// Stands for an encoder's output: two tokens of four dims.
static float[][] Encode(int i) => new[]
{
	new[] {MathF.Cos(i), MathF.Sin(i), MathF.Cos(2 * i), MathF.Sin(2 * i)},
	new[] {MathF.Sin(i), MathF.Cos(i), 0, 1}
};

await using var source = NpgsqlDataSource.Create(args[0]);
await using var conn = await source.OpenConnectionAsync();

async Task Execute(string sql, params object[] values)
{
	await using var command = new NpgsqlCommand(sql, conn);
	foreach (var value in values)
		command.Parameters.Add(new NpgsqlParameter {Value = value});
	await command.ExecuteNonQueryAsync();
}

async Task Print(string sql, object query)
{
	await using var command = new NpgsqlCommand(sql, conn);
	command.Parameters.Add(new NpgsqlParameter {Value = query});
	await using var rows = await command.ExecuteReaderAsync();
	while (await rows.ReadAsync())
		Console.WriteLine(string.Create(CultureInfo.InvariantCulture, $"{rows.GetInt64(0)} {rows.GetDouble(1):F3}"));
}

await Execute("CREATE EXTENSION IF NOT EXISTS colbert_pg");
await Execute("DROP TABLE IF EXISTS passages");
await Execute("CREATE TABLE passages (id bigint PRIMARY KEY, doc multivector(4))");

// Text with a cast, and the binary format as a bytea.
await Execute("INSERT INTO passages VALUES ($1, $2::multivector)", 1L, ToText(Encode(1)));
await Execute("INSERT INTO passages VALUES ($1, multivector($2))", 2L, ToBinary(Encode(2)));

await using (var copy = await conn.BeginTextImportAsync("COPY passages FROM STDIN"))
	for (var i = 3; i <= 200; i++)
		await copy.WriteAsync($"{i}\t{ToText(Encode(i))}\n");
await Execute("CREATE INDEX ON passages USING colbert_hnsw (doc)");

await Execute("SET enable_seqscan = off"); // the table is small
const string search = "SELECT id, maxsim(doc, {0}) AS score FROM passages ORDER BY score DESC LIMIT 3";
await Print(string.Format(search, "$1::multivector"), ToText(Encode(7)));
await Print(string.Format(search, "multivector($1)"), ToBinary(Encode(7)));

await using var read = new NpgsqlCommand("SELECT multivector_send(doc) FROM passages WHERE id = 1", conn);
var doc = FromBinary((byte[]) (await read.ExecuteScalarAsync())!);
Console.WriteLine(string.Join(" ", doc.SelectMany(token => token).Select(x => x.ToString("F3", CultureInfo.InvariantCulture))));
