//! Names for made-up data, among them those that CSV and JSON must quote or escape.

/// Whom a card pays.
pub(super) const MERCHANTS: &[&str] = &[
    "Alimentari Rossi",
    "Bäckerei \"Zum Anker\"",
    "Boulangerie de l'Étoile",
    "Corner Shop",
    "Curry, Rice & Co.",
    "Fish 'n' Chips",
    "Grand Hotel",
    "\"Half Price\", \"Full Taste\"",
    "Kino Babylon",
    "Książki i Kawa",
    "Müller, Maier & Söhne",
    "Northern Rail",
    "Off-Licence \\ 24h",
    "Рынок",
    "Tram tickets <online>",
    "ラーメン横丁",
];

/// Where a card is used. Some differ by no more than one letter: they are different locations.
pub(super) const LOCATIONS: &[&str] = &[
    "Berlin",
    "Gdańsk",
    "Kraków",
    "Lisboa",
    "London",
    "London, Ontario",
    "München",
    "San José",
    "San Jose",
    "São Paulo",
    "Washington, D.C.",
    "Zürich",
    "\"The Hague\"",
    "東京",
];

/// What a shop's products are sorted into. Bytes order "Books" before "books" before "Étagères".
pub(super) const CATEGORIES: &[&str] = &[
    "Books",
    "Books, used",
    "Home & Garden",
    "Möbel",
    "Music",
    "Toys \"R\" Here",
    "books",
    "coffee",
    "tea",
    "Étagères",
    "茶",
];
