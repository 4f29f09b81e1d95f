//! Rows in aligned columns.

/// The longest cell, in characters; the whole text is in `--json`.
const MAX_CELL: usize = 60;

/// Lines with two spaces between the columns and none at the end. Line feeds in a cell become spaces.
pub(crate) fn table<const N: usize>(head: [&str; N], rows: &[[String; N]]) -> String {
    let head = head.map(str::to_owned);
    let rows: Vec<[String; N]> = std::iter::once(&head).chain(rows).map(|row| row.each_ref().map(|text| cell(text))).collect();
    let mut widths = [0; N];
    for row in &rows {
        for (width, text) in widths.iter_mut().zip(row) {
            *width = (*width).max(text.chars().count());
        }
    }
    let mut lines = String::new();
    for row in &rows {
        let line: String = row.iter().zip(widths).map(|(text, width)| format!("{text:width$}  ")).collect();
        lines.push_str(line.trim_end());
        lines.push('\n');
    }
    lines
}

fn cell(text: &str) -> String {
    let text = text.replace('\n', " ");
    match text.char_indices().nth(MAX_CELL) {
        Some(_) => text.chars().take(MAX_CELL - 1).chain(['…']).collect(),
        None => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_aligned_and_long_cells_are_cut() {
        let rows = [["1".to_owned(), "é\nf".to_owned()], ["200".to_owned(), "x".repeat(100)]];
        let text = table(["ID", "ERROR"], &rows);
        assert_eq!(text, format!("ID   ERROR\n1    é f\n200  {}…\n", "x".repeat(59)));
    }
}
