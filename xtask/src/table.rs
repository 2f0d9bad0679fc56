//! A plain table for the terminal: columns as wide as their widest cell, the last one as long as it likes.

/// Sets rows under a head; every row has as many cells as the head.
pub fn render<const COLUMNS: usize>(head: [&str; COLUMNS], rows: &[[String; COLUMNS]]) -> String {
    let mut widths = head.map(|cell| cell.chars().count());
    for row in rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.chars().count());
        }
    }
    let line = |cells: [&str; COLUMNS]| {
        let mut text = String::new();
        for (cell, width) in cells.iter().zip(widths) {
            text.push_str(&format!("{cell:width$}  "));
        }
        text.trim_end().to_owned() + "\n"
    };
    let rule = widths.map(|width| "-".repeat(width));
    let mut text = line(head) + &line(rule.each_ref().map(String::as_str));
    for row in rows {
        text.push_str(&line(row.each_ref().map(String::as_str)));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::render;

    #[test]
    fn columns_line_up_and_lines_end_without_blanks() {
        let rows = [["fmt".to_owned(), "0.8 s".to_owned()], ["clippy".to_owned(), String::new()]];
        assert_eq!(render(["phase", "time"], &rows), "phase   time\n------  -----\nfmt     0.8 s\nclippy\n");
    }
}
