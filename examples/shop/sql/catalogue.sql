-- What the shop sells.
INSERT INTO shop.products (id, name, blurb, price_cents) VALUES
    ( 1, 'Packing tape',      'Six rolls, brown, loud',             1190),
    ( 2, 'Moving box',        'Takes 30 kg and a cat',               349),
    ( 3, 'Hand truck',        'Two wheels, no engine',              8900),
    ( 4, 'Bubble wrap',       'Ten metres; popping is optional',     990),
    ( 5, 'Ratchet strap',     'Holds what you love',                1450),
    ( 6, 'Pallet, used',      'Has seen the world',                 1200),
    ( 7, 'Label printer',     'Prints "fragile" very well',        12900),
    ( 8, 'Cargo bike bell',   'Heard two streets away',             1690),
    ( 9, 'Work gloves',       'Left and right in one pack',          790),
    (10, 'Furniture blanket', 'Warm, grey, honest',                 1850),
    (11, 'Tarpaulin',         'Three by four metres, waterproof',   2490),
    (12, 'Thermos',           'Coffee at the far end of the route', 2990)
ON CONFLICT (id) DO NOTHING;
