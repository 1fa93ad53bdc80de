# PostgreSQL with colbert_pg, from the official image:
#
#     docker build -t colbert-pg --build-arg BASE=postgres:17-trixie .
#     docker run -e POSTGRES_PASSWORD=secret --shm-size=1g colbert-pg
#
# BASE: an official image of PostgreSQL 15 or later on Debian, which sets PG_MAJOR. Not built as an image
# yet: the project's machines cannot pull one. `make test-packages` lints this file and runs its steps in
# chroots of Debian, with Debian's PostgreSQL in place of the image's (tools/packages).
ARG BASE=postgres:17-trixie

FROM ${BASE} AS build
# The image has the repository of its packages, so headers have the server's version.
# hadolint ignore=DL3008
RUN apt-get update \
	&& apt-get install -y --no-install-recommends gcc libc6-dev make "postgresql-server-dev-$PG_MAJOR" \
	&& rm -rf /var/lib/apt/lists/*
WORKDIR /usr/src/colbert_pg
COPY . .
RUN make PG_CONFIG="/usr/lib/postgresql/$PG_MAJOR/bin/pg_config" \
	&& make install PG_CONFIG="/usr/lib/postgresql/$PG_MAJOR/bin/pg_config" DESTDIR=/installed

FROM ${BASE}
COPY --from=build /installed/ /
# Runs once, when a container creates its database.
COPY docker/create-extension.sql /docker-entrypoint-initdb.d/
