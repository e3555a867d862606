//! Results on stdout: text, tables, JSON.

use std::io::Write;

use serde::Serialize;

use crate::{Error, Result};

/// Writes text and a line end to stdout. A reader that has seen enough is no error.
pub(super) fn print(text: &str) -> Result<()> {
    let mut stdout = std::io::stdout().lock();
    let written = writeln!(stdout, "{text}").and_then(|()| stdout.flush());
    match written {
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => Ok(()),
        other => other.map_err(Error::io("write", "stdout")),
    }
}

/// Writes a value as indented JSON to stdout.
pub(super) fn print_json(value: &impl Serialize) -> Result<()> {
    let text = serde_json::to_string_pretty(value).expect("results have no keys but texts");
    print(&text)
}

/// Lines of columns, each as wide as its widest cell; the first row is the head. Cells that begin
/// with a digit stand right.
pub(super) fn table(rows: &[Vec<String>]) -> String {
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let length = |text: &str| text.chars().count();
    let widths: Vec<usize> = (0..columns)
        .map(|i| {
            rows.iter()
                .filter_map(|row| row.get(i))
                .map(|c| length(c))
                .max()
        })
        .map(|width| width.unwrap_or(0))
        .collect();
    let right: Vec<bool> = (0..columns)
        .map(|i| {
            let mut cells = rows.iter().skip(1).filter_map(|row| row.get(i));
            cells.any(|c| c.starts_with(|c: char| c.is_ascii_digit()))
        })
        .collect();
    let mut lines = vec![];
    for row in rows {
        let mut line = String::new();
        for (i, cell) in row.iter().enumerate() {
            let space = " ".repeat(widths[i] - length(cell));
            if i > 0 {
                line += "  ";
            }
            line += &if right[i] {
                space + cell
            } else {
                cell.clone() + &space
            };
        }
        lines.push(line.trim_end().to_owned());
    }
    lines.join("\n")
}

/// A number as people read it, in powers of ten: `1.23 T`, `45.6 M`, `999`.
pub(super) fn count_text(value: f64) -> String {
    const UNITS: [(f64, &str); 5] = [(1e15, "P"), (1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k")];
    match UNITS.iter().find(|(unit, _)| value >= *unit) {
        Some((unit, name)) => format!("{:.2} {name}", value / unit),
        None => format!("{value:.0}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_of_numbers_stand_right() {
        let row = |cells: [&str; 3]| cells.map(str::to_owned).to_vec();
        let rows = [
            row(["stage", "runs", "x"]),
            row(["encode", "2", "a"]),
            row(["d", "30", ""]),
        ];
        assert_eq!(
            table(&rows),
            "stage   runs  x\nencode     2  a\nd         30"
        );
    }

    #[test]
    fn counts_read_in_powers_of_ten() {
        let texts = [0.0, 999.0, 13_600_000.0, 2.5e12, 7e15].map(count_text);
        assert_eq!(texts, ["0", "999", "13.60 M", "2.50 T", "7.00 P"]);
    }
}
