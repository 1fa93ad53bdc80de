// colbert_pg from Java with the JDBC driver (Debian: libpostgresql-jdbc-java):
// java -cp /usr/share/java/postgresql.jar Search.java 'jdbc:postgresql://localhost/postgres?user=postgres'
import java.io.ByteArrayInputStream;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.sql.Connection;
import java.sql.DriverManager;
import java.sql.PreparedStatement;
import java.sql.ResultSet;
import java.sql.SQLException;
import java.sql.Statement;
import java.util.Arrays;
import java.util.StringJoiner;
import org.postgresql.PGConnection;

public class Search {
	// The binary format of a multivector: version 1, element 0 (float4), dims, tokens; then the numbers.
	static byte[] toBinary(float[][] tokens) {
		ByteBuffer bytes = ByteBuffer.allocate(8 + 4 * tokens.length * tokens[0].length).order(ByteOrder.LITTLE_ENDIAN);
		bytes.put((byte) 1).put((byte) 0).putShort((short) tokens[0].length).putInt(tokens.length);
		for (float[] token : tokens)
			for (float x : token)
				bytes.putFloat(x);
		return bytes.array();
	}

	static float[][] fromBinary(byte[] data) {
		ByteBuffer bytes = ByteBuffer.wrap(data).order(ByteOrder.LITTLE_ENDIAN);
		float[][] tokens = new float[bytes.getInt(4)][bytes.getShort(2) & 0xffff];
		bytes.position(8);
		for (float[] token : tokens)
			for (int i = 0; i < token.length; i++)
				token[i] = bytes.getFloat();
		return tokens;
	}

	// Stands for an encoder's output: two tokens of four dims.
	static float[][] encode(int i) {
		return new float[][] {{(float) Math.cos(i), (float) Math.sin(i), (float) Math.cos(2 * i), (float) Math.sin(2 * i)},
			{(float) Math.sin(i), (float) Math.cos(i), 0, 1}};
	}

	static void print(PreparedStatement search) throws SQLException {
		try (ResultSet rows = search.executeQuery()) {
			while (rows.next())
				System.out.printf("%d %.3f%n", rows.getLong("id"), rows.getDouble("score"));
		}
	}

	public static void main(String[] args) throws Exception {
		try (Connection conn = DriverManager.getConnection(args[0]); Statement statement = conn.createStatement()) {
			statement.execute("CREATE EXTENSION IF NOT EXISTS colbert_pg");
			statement.execute("DROP TABLE IF EXISTS passages");
			statement.execute("CREATE TABLE passages (id bigint PRIMARY KEY, doc multivector(4))");

			// Text with a cast, and the binary format as a bytea.
			try (PreparedStatement insert = conn.prepareStatement("INSERT INTO passages VALUES (?, ?::multivector)")) {
				insert.setLong(1, 1);
				insert.setString(2, Arrays.deepToString(encode(1)));
				insert.executeUpdate();
			}
			try (PreparedStatement insert = conn.prepareStatement("INSERT INTO passages VALUES (?, multivector(?))")) {
				insert.setLong(1, 2);
				insert.setBytes(2, toBinary(encode(2)));
				insert.executeUpdate();
			}

			StringBuilder lines = new StringBuilder();
			for (int i = 3; i <= 200; i++)
				lines.append(i).append('\t').append(Arrays.deepToString(encode(i))).append('\n');
			conn.unwrap(PGConnection.class).getCopyAPI().copyIn("COPY passages FROM STDIN",
				new ByteArrayInputStream(lines.toString().getBytes(StandardCharsets.UTF_8)));
			statement.execute("CREATE INDEX ON passages USING colbert_hnsw (doc)");

			String search = "SELECT id, maxsim(doc, %s) AS score FROM passages ORDER BY score DESC LIMIT 3";
			statement.execute("SET enable_seqscan = off"); // the table is small
			try (PreparedStatement explain = conn.prepareStatement("EXPLAIN " + String.format(search, "multivector(?)"))) {
				explain.setBytes(1, toBinary(encode(7)));
				StringBuilder plan = new StringBuilder();
				try (ResultSet rows = explain.executeQuery()) {
					while (rows.next())
						plan.append(rows.getString(1));
				}
				System.out.println(plan.indexOf("Index Scan using passages_doc_idx") >= 0 ? "index" : "no index");
			}
			try (PreparedStatement byText = conn.prepareStatement(String.format(search, "?::multivector"))) {
				byText.setString(1, Arrays.deepToString(encode(7)));
				print(byText);
			}
			try (PreparedStatement byBinary = conn.prepareStatement(String.format(search, "multivector(?)"))) {
				byBinary.setBytes(1, toBinary(encode(7)));
				print(byBinary);
			}

			try (ResultSet rows = statement.executeQuery("SELECT multivector_send(doc) FROM passages WHERE id = 1")) {
				rows.next();
				StringJoiner numbers = new StringJoiner(" ");
				for (float[] token : fromBinary(rows.getBytes(1)))
					for (float x : token)
						numbers.add(String.format("%.3f", x));
				System.out.println(numbers);
			}
		}
	}
}
