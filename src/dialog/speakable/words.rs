//! What is written short and said long: abbreviations, months, weekdays, units, currencies, symbols. PURE data.

/// Full names by three letters.
pub(super) const MONTHS: [&str; 12] = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];
pub(super) const WEEKDAYS: [&str; 7] = ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"];

/// The name that begins with the first three letters of `short`.
pub(super) fn full_name<'a>(names: &[&'a str], short: &str) -> Option<&'a str> {
    let start = short.get(..3)?;
    names.iter().copied().find(|name| name.get(..3).is_some_and(|name| name.eq_ignore_ascii_case(start)))
}

/// Symbol, one, several. The longer symbol stands before one it begins with.
#[rustfmt::skip]
pub(super) const UNITS: &[(&str, &str, &str)] = &[
    ("km/h", "kilometer per hour", "kilometers per hour"), ("kph", "kilometer per hour", "kilometers per hour"),
    ("mph", "mile per hour", "miles per hour"), ("kWh", "kilowatt hour", "kilowatt hours"),
    ("mAh", "milliamp hour", "milliamp hours"), ("Mbps", "megabit per second", "megabits per second"),
    ("Gbps", "gigabit per second", "gigabits per second"), ("kbps", "kilobit per second", "kilobits per second"),
    ("Mbit/s", "megabit per second", "megabits per second"), ("MB/s", "megabyte per second", "megabytes per second"),
    ("km squared", "square kilometer", "square kilometers"), ("cm squared", "square centimeter", "square centimeters"),
    ("m squared", "square meter", "square meters"), ("m cubed", "cubic meter", "cubic meters"),
    ("sq ft", "square foot", "square feet"), ("sqft", "square foot", "square feet"),
    ("kg", "kilogram", "kilograms"), ("mg", "milligram", "milligrams"), ("g", "gram", "grams"),
    ("lbs", "pound", "pounds"), ("lb", "pound", "pounds"), ("oz", "ounce", "ounces"),
    ("km", "kilometer", "kilometers"), ("cm", "centimeter", "centimeters"), ("mm", "millimeter", "millimeters"),
    ("mins", "minute", "minutes"), ("min", "minute", "minutes"), ("mi", "mile", "miles"),
    ("ms", "millisecond", "milliseconds"), ("ml", "milliliter", "milliliters"), ("mL", "milliliter", "milliliters"),
    ("m", "meter", "meters"), ("ft", "foot", "feet"), ("yd", "yard", "yards"), ("yrs", "year", "years"), ("yr", "year", "years"),
    ("l", "liter", "liters"), ("L", "liter", "liters"),
    ("TB", "terabyte", "terabytes"), ("GB", "gigabyte", "gigabytes"), ("MB", "megabyte", "megabytes"),
    ("KB", "kilobyte", "kilobytes"), ("kB", "kilobyte", "kilobytes"), ("MP", "megapixel", "megapixels"), ("px", "pixel", "pixels"),
    ("GHz", "gigahertz", "gigahertz"), ("MHz", "megahertz", "megahertz"), ("kHz", "kilohertz", "kilohertz"), ("Hz", "hertz", "hertz"),
    ("kW", "kilowatt", "kilowatts"), ("W", "watt", "watts"), ("V", "volt", "volts"),
    ("°C", "degree Celsius", "degrees Celsius"), ("°F", "degree Fahrenheit", "degrees Fahrenheit"), ("°", "degree", "degrees"),
    ("hrs", "hour", "hours"), ("hr", "hour", "hours"), ("h", "hour", "hours"),
    ("secs", "second", "seconds"), ("sec", "second", "seconds"), ("s", "second", "seconds"),
];

/// What follows a slash after a price or a unit.
pub(super) const PER: &[(&str, &str)] = &[
    ("mo", "month"),
    ("yr", "year"),
    ("hr", "hour"),
    ("h", "hour"),
    ("min", "minute"),
    ("sec", "second"),
    ("s", "second"),
    ("wk", "week"),
    ("kg", "kilogram"),
    ("g", "gram"),
    ("lb", "pound"),
    ("oz", "ounce"),
    ("km", "kilometer"),
    ("m", "meter"),
    ("l", "liter"),
    ("pp", "person"),
    ("kWh", "kilowatt hour"),
    ("GB", "gigabyte"),
];

/// Currency by symbol or code: one, several, and the hundredth part (none where there is none).
pub(super) struct Currency {
    pub marks: &'static [&'static str],
    pub one: &'static str,
    pub several: &'static str,
    pub part: Option<(&'static str, &'static str)>,
}

pub(super) const CURRENCIES: &[Currency] = &[
    Currency { marks: &["$", "US$", "USD"], one: "dollar", several: "dollars", part: Some(("cent", "cents")) },
    Currency { marks: &["€", "EUR"], one: "euro", several: "euros", part: Some(("cent", "cents")) },
    Currency { marks: &["£", "GBP"], one: "pound", several: "pounds", part: Some(("penny", "pence")) },
    Currency { marks: &["zł", "PLN"], one: "zloty", several: "zlotys", part: Some(("grosz", "groszy")) },
    Currency { marks: &["CHF"], one: "Swiss franc", several: "Swiss francs", part: Some(("rappen", "rappen")) },
    Currency {
        marks: &["CA$", "CAD"],
        one: "Canadian dollar",
        several: "Canadian dollars",
        part: Some(("cent", "cents")),
    },
    Currency {
        marks: &["A$", "AUD"],
        one: "Australian dollar",
        several: "Australian dollars",
        part: Some(("cent", "cents")),
    },
    Currency { marks: &["¥", "JPY"], one: "yen", several: "yen", part: None },
    Currency { marks: &["₹", "INR"], one: "rupee", several: "rupees", part: Some(("paisa", "paise")) },
];

/// With its full stop; said as; whether it may end a sentence (then a capital after it keeps the stop).
#[rustfmt::skip]
pub(super) const ABBREVIATIONS: &[(&str, &str, bool)] = &[
    ("e.g.", "for example", false), ("i.e.", "that is", false), ("etc.", "et cetera", true), ("vs.", "versus", false),
    ("Mr.", "Mister", false), ("Mrs.", "Missus", false), ("Ms.", "Miz", false), ("Prof.", "Professor", false),
    ("Jr.", "Junior", true), ("Sr.", "Senior", true), ("Ave.", "Avenue", true), ("Blvd.", "Boulevard", true),
    ("Rd.", "Road", true), ("Ln.", "Lane", true), ("Hwy.", "Highway", true), ("Apt.", "Apartment", false),
    ("Ste.", "Suite", false), ("Inc.", "Incorporated", true), ("Ltd.", "Limited", true), ("Co.", "Company", true),
    ("Corp.", "Corporation", true), ("Dept.", "Department", true), ("dept.", "department", true),
    ("approx.", "approximately", false), ("Approx.", "Approximately", false), ("tel.", "telephone", false),
    ("Tel.", "Telephone", false), ("ext.", "extension", false), ("Ext.", "Extension", false), ("est.", "estimated", true),
    ("a.m.", "A M", true), ("p.m.", "P M", true), ("U.S.A.", "U S A", true), ("U.S.", "U S", true), ("U.K.", "U K", true),
    ("Ph.D.", "P H D", true), ("a.k.a.", "also known as", false), ("Mt.", "Mount", false), ("Gen.", "General", false),
    ("max.", "maximum", true), ("min.", "minimum", true), ("incl.", "including", false), ("excl.", "excluding", false),
    ("w/o", "without", false), ("w/", "with", false), ("c/o", "care of", false), ("n/a", "not available", false),
    ("N/A", "not available", false), ("vs", "versus", false),
];

/// Symbols between or before words. Where a number makes a difference a rule stands before these.
pub(super) const SYMBOLS: &[(&str, &str)] = &[
    ("&", "and"),
    ("@", "at"),
    ("+", "plus"),
    ("=", "equals"),
    ("×", "times"),
    ("÷", "divided by"),
    ("±", "plus or minus"),
    ("≈", "about"),
    ("~", "about"),
    ("≤", "at most"),
    ("≥", "at least"),
    ("≠", "is not"),
    ("%", "percent"),
    ("‰", "per mille"),
    ("°", "degrees"),
    ("§", "section"),
    ("№", "number"),
    ("$", "dollars"),
    ("€", "euros"),
    ("£", "pounds"),
    ("¥", "yen"),
    ("¢", "cents"),
    ("√", "the square root of"),
    ("∞", "infinity"),
    ("µ", "micro"),
    ("−", "minus"),
];

/// Words after which a string of digits names something rather than counts it.
pub(super) const NAMES_A_NUMBER: &[&str] = &[
    "order",
    "number",
    "code",
    "reference",
    "ref",
    "ticket",
    "account",
    "pin",
    "zip",
    "invoice",
    "case",
    "tracking",
    "confirmation",
    "extension",
    "id",
    "postcode",
    "serial",
    "booking",
    "reservation",
    "policy",
    "card",
    "room",
    "flight",
    "customer",
    "member",
    "passcode",
    "otp",
];

/// Top-level domains an address may end with when nothing else says that it is one.
pub(super) const DOMAINS: &str = "com|org|net|edu|gov|io|co|example|app|dev|ai|info|eu|us|uk|ca|de|fr|pl|nl|es|it|ie|au|test|shop|store|online|biz|me|tv";
