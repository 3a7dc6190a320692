//! The rows of the table: a figure, its goal, Flink's figure.

/// What a figure is to be.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Goal {
    AtLeast(f64),
    AtMost(f64),
    /// Shown beside another figure.
    None,
}

/// A measured figure.
#[derive(Debug)]
pub(crate) struct Row {
    pub(crate) what: &'static str,
    pub(crate) figure: f64,
    pub(crate) unit: &'static str,
    pub(crate) goal: Goal,
    /// Flink's, in the same unit, as the issue gives it.
    pub(crate) flink: Option<f64>,
}

const HEAD: &str = "| what | figure | goal | reached | Flink 2.2 | ratio | command |";

/// Prints the table's first two lines.
pub(crate) fn print_head() {
    println!("{HEAD}\n|---|---|---|---|---|---|---|");
}

/// Prints a whole table.
pub(crate) fn print(rows: &[Row], command: &str) {
    print_head();
    for row in rows {
        println!("{}", row.line(command));
    }
}

/// Whether the line is a row of figures.
pub(crate) fn is_row(line: &str) -> bool {
    line.starts_with("| ") && line != HEAD
}

impl Row {
    fn line(&self, command: &str) -> String {
        let Self { what, unit, .. } = self;
        let number = |figure: f64| format!("{} {unit}", three_digits(figure));
        let (goal, reached) = match self.goal {
            Goal::AtLeast(least) => (format!(">= {}", number(least)), self.figure >= least),
            Goal::AtMost(most) => (format!("<= {}", number(most)), self.figure <= most),
            Goal::None => (String::new(), true),
        };
        let reached = match (self.goal, reached) {
            (Goal::None, _) => "",
            (_, true) => "yes",
            (_, false) => "no",
        };
        let flink = self.flink.map(number).unwrap_or_default();
        let ratio = self.flink.map(|f| format!("{}x", three_digits(self.figure / f)));
        let (figure, ratio) = (number(self.figure), ratio.unwrap_or_default());
        format!("| {what} | {figure} | {goal} | {reached} | {flink} | {ratio} | `{command}` |")
    }
}

/// Three significant digits, more only in front of the point.
fn three_digits(figure: f64) -> String {
    let digits = match figure.abs() {
        below if below < 10.0 => 2,
        below if below < 100.0 => 1,
        _ => 0,
    };
    format!("{figure:.digits$}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_says_whether_its_goal_is_reached_and_how_it_compares() {
        let row = |figure, goal, flink| Row { what: "w", figure, unit: "M/s", goal, flink };
        for (row, expected) in [
            (
                row(123.4, Goal::AtLeast(100.0), Some(4.2)),
                "| w | 123 M/s | >= 100 M/s | yes | 4.20 M/s | 29.4x | `c` |",
            ),
            (
                row(30.1, Goal::AtMost(30.0), None),
                "| w | 30.1 M/s | <= 30.0 M/s | no |  |  | `c` |",
            ),
            (row(1.0, Goal::None, None), "| w | 1.00 M/s |  |  |  |  | `c` |"),
        ] {
            assert_eq!(row.line("c"), expected);
            assert!(is_row(expected));
        }
        assert!(!is_row(HEAD) && !is_row("|---|"));
    }
}
