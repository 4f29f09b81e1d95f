-- The shop's tables. Safe to run again.
CREATE SCHEMA IF NOT EXISTS shop;

CREATE TABLE IF NOT EXISTS shop.products (
    id          int PRIMARY KEY,
    name        text NOT NULL,
    blurb       text NOT NULL,
    price_cents int NOT NULL CHECK (price_cents > 0)
);

-- A customer without signed_up_at has ordered as a guest.
CREATE TABLE IF NOT EXISTS shop.customers (
    id           bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    email        text NOT NULL UNIQUE CHECK (email LIKE '_%@_%'),
    name         text,
    signed_up_at timestamptz,
    CHECK (signed_up_at IS NULL OR name IS NOT NULL)
);

-- The two job ids let the order's page show how far its work has come.
CREATE TABLE IF NOT EXISTS shop.orders (
    id          bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    customer_id bigint NOT NULL REFERENCES shop.customers,
    placed_at   timestamptz NOT NULL DEFAULT now(),
    receipt_job bigint,
    sync_job    bigint
);
CREATE INDEX IF NOT EXISTS orders_placed_at ON shop.orders (placed_at);
CREATE INDEX IF NOT EXISTS orders_customer ON shop.orders (customer_id, placed_at);

-- The price is the one of the day, whatever the catalogue says later.
CREATE TABLE IF NOT EXISTS shop.order_lines (
    order_id    bigint NOT NULL REFERENCES shop.orders,
    line        int NOT NULL,
    product_id  int NOT NULL REFERENCES shop.products,
    quantity    int NOT NULL CHECK (quantity BETWEEN 1 AND 1000),
    price_cents int NOT NULL,
    PRIMARY KEY (order_id, line)
);

-- Written by the job itself, in the transaction that completes it.
CREATE TABLE IF NOT EXISTS shop.reports (
    job     bigint PRIMARY KEY,
    month   date NOT NULL,
    name    text NOT NULL,
    rows    bigint NOT NULL,
    csv     text NOT NULL,
    made_at timestamptz NOT NULL DEFAULT now()
);
-- A report from before there were PDFs has none.
ALTER TABLE shop.reports ADD COLUMN IF NOT EXISTS pdf bytea;

-- A product's pictures, the last one counts. The thumbnail is written by the job.
CREATE TABLE IF NOT EXISTS shop.pictures (
    id          bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    product_id  int NOT NULL REFERENCES shop.products,
    original    bytea NOT NULL,
    job         bigint,
    thumbnail   bytea,
    uploaded_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX IF NOT EXISTS pictures_product ON shop.pictures (product_id, id);
