"""Forward a TCP port of the loopback interface to the socket of a server, for drivers that know no other: forward.py PORT-FILE.

The port is a free one; it is written to the file."""
import asyncio, os, sys


async def pipe(reader, writer):
    while data := await reader.read(65536):
        writer.write(data)
        await writer.drain()
    writer.close()


async def connected(reader, writer):
    server_reader, server_writer = await asyncio.open_unix_connection(f"{os.environ['PGHOST']}/.s.PGSQL.{os.environ['PGPORT']}")
    await asyncio.gather(pipe(reader, server_writer), pipe(server_reader, writer), return_exceptions=True)


async def main(file):
    server = await asyncio.start_server(connected, '127.0.0.1', 0)
    with open(file + '.new', 'w') as f:
        f.write(str(server.sockets[0].getsockname()[1]))
    os.rename(file + '.new', file)
    await server.serve_forever()


asyncio.run(main(sys.argv[1]))
