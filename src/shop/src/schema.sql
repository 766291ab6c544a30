-- The shop's tables. Safe to run again.
CREATE TABLE IF NOT EXISTS orders (
    id uuid PRIMARY KEY,
    idempotency_key text NOT NULL UNIQUE,
    fingerprint bytea NOT NULL,
    customer text NOT NULL,
    items jsonb NOT NULL,
    total_cents bigint NOT NULL,
    region text NOT NULL,
    created_at timestamptz NOT NULL DEFAULT clock_timestamp()
);
CREATE INDEX IF NOT EXISTS orders_created_at ON orders (created_at);
-- What Kafka is to be told: written with the order in one transaction, so that none is told of an
-- order that does not exist, and none is forgotten.
CREATE TABLE IF NOT EXISTS outbox (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    order_id uuid NOT NULL,
    region text NOT NULL,
    event jsonb NOT NULL
);
