#!/usr/bin/env bash
# Checks every SQL statement against a real Postgres with the current migrations, and renews .sqlx/.
# usage: scripts/sqlx-prepare.sh     with DATABASE_URL naming a database that it may empty the schema `public` of
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/lib.sh
[ -n "${DATABASE_URL:-}" ] || die "DATABASE_URL is not set" "name an empty development database, for example postgres://postgres@127.0.0.1/dev"
psql -q -v ON_ERROR_STOP=1 "$DATABASE_URL" -c 'DROP SCHEMA public CASCADE' -c 'CREATE SCHEMA public'
for file in migrations/0*.sql; do psql -q -v ON_ERROR_STOP=1 "$DATABASE_URL" -f "$file"; done
rm -rf target/sqlx-new && mkdir -p target/sqlx-new
touch server/store/src/lib.rs
SQLX_OFFLINE=false SQLX_OFFLINE_DIR=$PWD/target/sqlx-new cargo check -q -p voltaxe-store --tests
rm -rf .sqlx && mv target/sqlx-new .sqlx
say ".sqlx/ holds $(find .sqlx -type f | wc -l) statements"
