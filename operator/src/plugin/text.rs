//! Moments and sizes in few letters, as kubectl writes them.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

/// How long it is from one moment to another, in its two largest units: `3d4h`, `5m10s`, `0s`.
/// Nothing is negative: clocks differ a little.
pub fn since(then: &Time, now: &Time) -> String {
    let seconds = now.0.as_second().saturating_sub(then.0.as_second()).max(0);
    let units = [(86_400, "d"), (3_600, "h"), (60, "m"), (1, "s")];
    let mut text = String::new();
    let mut rest = seconds;
    let first = units.iter().position(|(unit, _)| seconds >= *unit).unwrap_or(units.len() - 1);
    for (unit, letter) in units.iter().skip(first).take(2) {
        let count = rest / unit;
        rest %= unit;
        if count > 0 || text.is_empty() {
            text.push_str(&format!("{count}{letter}"));
        }
    }
    text
}

/// A size in bytes: `512 B`, `3.1 MiB`.
pub fn size(bytes: i64) -> String {
    let units = ["KiB", "MiB", "GiB", "TiB"];
    if bytes < 1024 {
        return format!("{bytes} B");
    }
    let mut value = bytes as f64 / 1024.0;
    let mut unit = 0;
    while value >= 1024.0 && unit + 1 < units.len() {
        value /= 1024.0;
        unit += 1;
    }
    format!("{value:.1} {}", units[unit])
}
