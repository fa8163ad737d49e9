//! The Markdown table.

use crate::rounds::{Outcome, Spread, Unit};

/// The head of the table.
pub fn head() -> String {
    "| work | ours | rustls | ratio (p10-p90) | self-check (p10-p90) | of the floor: ours | rustls |\n\
     | --- | --- | --- | --- | --- | --- | --- |"
        .to_owned()
}

/// One line of it.
pub fn line(outcome: &Outcome) -> String {
    let unit = outcome.row.unit;
    let absent = || "n/a".to_owned();
    let part = |part: Option<f64>| part.map_or_else(|| "-".to_owned(), |part| format!("{part:.2}"));
    format!(
        "| {} | {} | {} | {} | {} | {} | {} |",
        outcome.row.work,
        outcome.ours.map_or_else(absent, |cost| show(cost, unit)),
        show(outcome.rustls, unit),
        outcome.ratio.map_or_else(absent, spread),
        outcome.check.map_or_else(|| "-".to_owned(), spread),
        part(outcome.ours_of_floor),
        part(outcome.rustls_of_floor),
    )
}

fn spread(spread: Spread) -> String {
    let Spread { p10, median, p90 } = spread;
    if p10 == p90 {
        format!("**{median:.2}**")
    } else {
        format!("**{median:.2}** ({p10:.2}-{p90:.2})")
    }
}

fn show(cost: f64, unit: Unit) -> String {
    match unit {
        Unit::Nanoseconds => format!("{cost:.0} ns"),
        Unit::Microseconds => format!("{:.1} µs", cost / 1e3),
        Unit::BytesPer(bytes) => format!("{:.0} MB/s", bytes as f64 * 1e3 / cost),
        Unit::Count => format!("{cost:.1}"),
        Unit::Bytes => format!("{cost:.0} B"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thousand_bytes_in_a_microsecond_are_a_thousand_megabytes_per_second() {
        assert_eq!(show(1e3, Unit::BytesPer(1000)), "1000 MB/s");
    }
}
