//! colbert_pg from Rust with tokio-postgres: cargo run, with PGHOST etc. in the environment.

use bytes::BytesMut;
use futures_util::pin_mut;
use std::{env, error::Error};
use tokio_postgres::binary_copy::BinaryCopyInWriter;
use tokio_postgres::types::{to_sql_checked, FromSql, IsNull, ToSql, Type};
use tokio_postgres::{Config, NoTls};

/// The tokens of a document or query, all of the same dims.
#[derive(Debug)]
struct MultiVector(Vec<Vec<f32>>);

type BoxError = Box<dyn Error + Sync + Send>;

impl ToSql for MultiVector {
    /// Version 1, element 0 (float4), dims, tokens; then the numbers.
    fn to_sql(&self, _: &Type, out: &mut BytesMut) -> Result<IsNull, BoxError> {
        out.extend_from_slice(&[1, 0]);
        out.extend_from_slice(&u16::try_from(self.0[0].len())?.to_le_bytes());
        out.extend_from_slice(&u32::try_from(self.0.len())?.to_le_bytes());
        for x in self.0.iter().flatten() {
            out.extend_from_slice(&x.to_le_bytes());
        }
        Ok(IsNull::No)
    }

    fn accepts(ty: &Type) -> bool {
        ty.name() == "multivector"
    }

    to_sql_checked!();
}

impl<'a> FromSql<'a> for MultiVector {
    fn from_sql(_: &Type, raw: &'a [u8]) -> Result<Self, BoxError> {
        if raw.len() < 8 || raw[..2] != [1, 0] {
            return Err("not a multivector of float4".into());
        }
        let dims = usize::from(u16::from_le_bytes([raw[2], raw[3]]));
        let numbers: Vec<f32> = raw[8..].chunks_exact(4).map(|b| f32::from_le_bytes(b.try_into().unwrap())).collect();
        Ok(MultiVector(numbers.chunks_exact(dims).map(<[f32]>::to_vec).collect()))
    }

    fn accepts(ty: &Type) -> bool {
        ty.name() == "multivector"
    }
}

/// Stands for an encoder's output: two tokens of four dims.
fn encode(i: i64) -> MultiVector {
    let x = i as f64;
    let row = |numbers: [f64; 4]| numbers.map(|n| n as f32).to_vec();
    MultiVector(vec![row([x.cos(), x.sin(), (2.0 * x).cos(), (2.0 * x).sin()]), row([x.sin(), x.cos(), 0.0, 1.0])])
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut config = Config::new();
    config.host(&env::var("PGHOST")?).user(&env::var("PGUSER")?).dbname(&env::var("PGDATABASE")?);
    config.port(env::var("PGPORT")?.parse()?);
    let (client, connection) = config.connect(NoTls).await?;
    tokio::spawn(connection);
    client
        .batch_execute(
            "CREATE EXTENSION IF NOT EXISTS colbert_pg;
             DROP TABLE IF EXISTS passages;
             CREATE TABLE passages (id bigint PRIMARY KEY, doc multivector(4))",
        )
        .await?;

    // Text with a cast from text, and the binary format.
    let text = |i| format!("{:?}", encode(i).0);
    client.execute("INSERT INTO passages VALUES ($1, $2::text::multivector)", &[&1i64, &text(1)]).await?;
    client.execute("INSERT INTO passages VALUES ($1, $2)", &[&2i64, &encode(2)]).await?;

    // COPY, in the binary format. The type comes from a statement's description.
    let insert = client.prepare("INSERT INTO passages VALUES ($1, $2)").await?;
    let sink = client.copy_in("COPY passages FROM STDIN (FORMAT binary)").await?;
    let writer = BinaryCopyInWriter::new(sink, insert.params());
    pin_mut!(writer);
    for i in 3..=200i64 {
        writer.as_mut().write(&[&i, &encode(i)]).await?;
    }
    writer.finish().await?;
    client
        .batch_execute("CREATE INDEX ON passages USING colbert_hnsw (doc); SET enable_seqscan = off") // the table is small
        .await?;

    let search = |query: &str| format!("SELECT id, maxsim(doc, {query}) AS score FROM passages ORDER BY score DESC LIMIT 3");
    let plan = client.query(&format!("EXPLAIN {}", search("$1")), &[&encode(7)]).await?;
    let found = plan.iter().any(|line| line.get::<_, &str>(0).contains("Index Scan using passages_doc_idx"));
    println!("{}", if found { "index" } else { "no index" });
    let by_text = client.query(&search("$1::text::multivector"), &[&text(7)]).await?;
    let by_binary = client.query(&search("$1"), &[&encode(7)]).await?;
    for row in by_text.iter().chain(&by_binary) {
        println!("{} {:.3}", row.get::<_, i64>("id"), row.get::<_, f64>("score"));
    }

    let MultiVector(tokens) = client.query_one("SELECT doc FROM passages WHERE id = 1", &[]).await?.get(0);
    let numbers: Vec<String> = tokens.iter().flatten().map(|x| format!("{x:.3}")).collect();
    println!("{}", numbers.join(" "));
    Ok(())
}
