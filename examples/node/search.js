// colbert_pg from Node.js with pg: npm install && node search.js, with PGHOST etc. in the environment.
const { Client } = require('pg')
const copy = require('pg-copy-streams')
const { once } = require('node:events')

// The binary format of a multivector: version 1, element 0 (float4), dims, tokens; then the numbers.
function toBinary(tokens) {
  const bytes = Buffer.alloc(8 + 4 * tokens.length * tokens[0].length)
  bytes.writeUInt8(1, 0)
  bytes.writeUInt8(0, 1)
  bytes.writeUInt16LE(tokens[0].length, 2)
  bytes.writeUInt32LE(tokens.length, 4)
  tokens.flat().forEach((x, i) => bytes.writeFloatLE(x, 8 + 4 * i))
  return bytes
}

function fromBinary(bytes) {
  const dims = bytes.readUInt16LE(2)
  return Array.from({ length: bytes.readUInt32LE(4) }, (_, token) =>
    Array.from({ length: dims }, (_, dim) => bytes.readFloatLE(8 + 4 * (token * dims + dim))))
}

// Stands for an encoder's output: two tokens of four dims.
const encode = (i) => [[Math.cos(i), Math.sin(i), Math.cos(2 * i), Math.sin(2 * i)], [Math.sin(i), Math.cos(i), 0, 1]]

async function main() {
  const client = new Client()
  await client.connect()
  await client.query('CREATE EXTENSION IF NOT EXISTS colbert_pg')
  await client.query('DROP TABLE IF EXISTS passages')
  await client.query('CREATE TABLE passages (id bigint PRIMARY KEY, doc multivector(4))')

  // Nested arrays are sent as text, and a Buffer in the binary format.
  await client.query('INSERT INTO passages VALUES ($1, $2)', [1, encode(1)])
  await client.query('INSERT INTO passages VALUES ($1, $2)', [2, toBinary(encode(2))])

  const rows = client.query(copy.from('COPY passages FROM STDIN'))
  for (let i = 3; i <= 200; i++) {
    if (!rows.write(`${i}\t${JSON.stringify(encode(i))}\n`)) await once(rows, 'drain')
  }
  rows.end()
  await once(rows, 'finish')
  await client.query('CREATE INDEX ON passages USING colbert_hnsw (doc)')

  const search = 'SELECT id, maxsim(doc, $1) AS score FROM passages ORDER BY score DESC LIMIT 3'
  await client.query('SET enable_seqscan = off') // the table is small
  const plan = await client.query('EXPLAIN ' + search, [toBinary(encode(7))])
  console.log(JSON.stringify(plan.rows).includes('Index Scan using passages_doc_idx') ? 'index' : 'no index')
  for (const query of [encode(7), toBinary(encode(7))]) {
    const result = await client.query(search, [query])
    for (const { id, score } of result.rows) console.log(id, score.toFixed(3))
  }

  // pg decodes binary results as UTF-8, but a bytea arrives whole.
  const { rows: [{ doc }] } = await client.query('SELECT multivector_send(doc) AS doc FROM passages WHERE id = 1')
  console.log(fromBinary(doc).flat().map((x) => x.toFixed(3)).join(' '))
  await client.end()
}

main().catch((error) => { console.error(error); process.exit(1) })
