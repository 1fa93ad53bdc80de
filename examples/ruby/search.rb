# colbert_pg from Ruby with pg (Debian: ruby-pg): ruby search.rb, with PGHOST etc. in the environment.
require 'json'
require 'pg'

# The binary format of a multivector: version 1, element 0 (float4), dims, tokens; then the numbers.
def to_binary(tokens) = [1, 0, tokens[0].size, tokens.size].pack('CCS<L<') + tokens.flatten.pack('e*')

def from_binary(bytes)
  _version, _element, dims, = bytes.unpack('CCS<L<')
  bytes.byteslice(8..).unpack('e*').each_slice(dims).to_a
end

# A parameter in the binary format; its type is that of the place where it stands.
def binary(tokens) = { value: to_binary(tokens), format: 1 }

# Stands for an encoder's output: two tokens of four dims.
def encode(i) = [[Math.cos(i), Math.sin(i), Math.cos(2 * i), Math.sin(2 * i)], [Math.sin(i), Math.cos(i), 0.0, 1.0]]

conn = PG.connect
conn.exec('SET client_min_messages = warning')
conn.exec('CREATE EXTENSION IF NOT EXISTS colbert_pg')
conn.exec('DROP TABLE IF EXISTS passages')
conn.exec('CREATE TABLE passages (id bigint PRIMARY KEY, doc multivector(4))')

# Text, and the binary format.
conn.exec_params('INSERT INTO passages VALUES ($1, $2)', [1, encode(1).to_json])
conn.exec_params('INSERT INTO passages VALUES ($1, $2)', [2, binary(encode(2))])

# COPY, as text. PG::BinaryEncoder::CopyRow, of ruby-pg 1.5, takes to_binary(...).
conn.copy_data('COPY passages FROM STDIN', PG::TextEncoder::CopyRow.new) do
  (3..200).each { |i| conn.put_copy_data([i.to_s, encode(i).to_json]) }
end
conn.exec('CREATE INDEX ON passages USING colbert_hnsw (doc)')

search = 'SELECT id, maxsim(doc, $1) AS score FROM passages ORDER BY score DESC LIMIT 3'
conn.exec('SET enable_seqscan = off') # the table is small
plan = conn.exec_params("EXPLAIN #{search}", [binary(encode(7))]).column_values(0).join("\n")
puts plan.include?('Index Scan using passages_doc_idx') ? 'index' : 'no index'
[encode(7).to_json, binary(encode(7))].each do |query|
  conn.exec_params(search, [query]).each { |row| puts format('%d %.3f', row['id'], row['score']) }
end

# A result in the binary format.
doc = conn.exec_params('SELECT doc FROM passages WHERE id = 1', [], 1).getvalue(0, 0)
puts from_binary(doc).flatten.map { |x| format('%.3f', x) }.join(' ')
