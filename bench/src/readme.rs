//! The table in the README: replaced between its two markers, so that figures there are never typed by hand.

use std::path::Path;

use anyhow::{Context, anyhow};

/// Puts `table` between the markers of `store` in the file.
pub fn update(file: &Path, store: &str, table: &str) -> anyhow::Result<()> {
    let text = std::fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))?;
    let updated = between_markers(&text, store, table)?;
    std::fs::write(file, updated).with_context(|| format!("cannot write {}", file.display()))
}

fn between_markers(text: &str, store: &str, table: &str) -> anyhow::Result<String> {
    let (open, close) = (format!("<!-- bench:{store} -->"), format!("<!-- /bench:{store} -->"));
    let missing = || anyhow!("there is no place for the table: the file needs the lines \"{open}\" and \"{close}\"");
    let (before, rest) = text.split_once(&open).ok_or_else(missing)?;
    let (_, after) = rest.split_once(&close).ok_or_else(missing)?;
    let lines: String = table.trim_end().lines().map(|line| line.trim_end().to_owned() + "\n").collect();
    Ok(format!("{before}{open}\n```text\n{lines}```\n{close}{after}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_takes_the_place_of_the_one_before_and_nothing_else_changes() {
        let text = "a\n<!-- bench:x -->\nold\n<!-- /bench:x -->\nb\n";
        let updated = between_markers(text, "x", "new  \nrow\n").unwrap();
        assert_eq!(updated, "a\n<!-- bench:x -->\n```text\nnew\nrow\n```\n<!-- /bench:x -->\nb\n");
        assert_eq!(between_markers(&updated, "x", "new  \nrow\n").unwrap(), updated);
        assert!(between_markers(text, "y", "").unwrap_err().to_string().contains("bench:y"));
    }
}
