-- Makes up a past for an empty shop: $1 orders over the last 180 days, more of them lately, with
-- one to five lines each, and 2,000 customers. The same every time but for the clock.
WITH buyers AS (
    INSERT INTO shop.customers (email, name)
    SELECT 'customer' || n || '@example.com',
           (ARRAY['Ada', 'Ben', 'Chloe', 'Dev', 'Elif', 'Finn', 'Grace', 'Hugo', 'Ines', 'Jonas'])[1 + n % 10]
           || ' ' ||
           (ARRAY['Abbott', 'Brandt', 'Costa', 'Dubois', 'Eriksen', 'Fischer', 'Garcia'])[1 + n % 7]
    FROM generate_series(1, 2000) AS n
    ON CONFLICT (email) DO UPDATE SET name = excluded.name
    RETURNING id
),
numbered AS (
    SELECT id, row_number() OVER (ORDER BY id) AS number
    FROM buyers
),
placed AS (
    INSERT INTO shop.orders (customer_id, placed_at)
    SELECT numbered.id,
           now() - interval '1 hour' - interval '180 days' * power(1 - n / $1::float8, 2)
    FROM generate_series(1, $1::int) AS n
    JOIN numbered ON numbered.number = 1 + (n::bigint * 7919) % 2000
    ORDER BY n
    RETURNING id
)
INSERT INTO shop.order_lines (order_id, line, product_id, quantity, price_cents)
SELECT placed.id, line, products.id, 1 + (placed.id * 31 + line) % 3, products.price_cents
FROM placed
CROSS JOIN LATERAL generate_series(1, 1 + (placed.id * 17) % 5) AS line
JOIN shop.products ON products.id = 1 + (placed.id * 5 + line * 7) % 12
