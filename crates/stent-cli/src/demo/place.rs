//! Where a run of the demo lives: one folder with the store and, beside it, the ledger. A folder that holds an earlier
//! run is refused, never cleared.

use std::path::{Path, PathBuf};

const STORE: &str = "stent.db";
const LEDGER: &str = "ledger.jsonl";

#[derive(Clone, Debug)]
pub(super) struct Place {
    dir: PathBuf,
}

impl Place {
    /// The folder asked for, made if it is not there, or a new one.
    pub(super) fn prepare(dir: Option<&Path>) -> Result<Self, String> {
        let Some(dir) = dir else {
            let made = tempfile::Builder::new().prefix("stent-demo-").tempdir();
            let made = made.map_err(|error| format!("cannot make a temporary folder: {error}; name one by --dir"))?;
            return Ok(Self { dir: made.keep() });
        };
        let refused = |why: String| format!("--dir {}: {why}", dir.display());
        std::fs::create_dir_all(dir).map_err(|error| refused(format!("cannot be made: {error}")))?;
        let dir = dir.canonicalize().map_err(|error| refused(error.to_string()))?;
        let place = Self { dir };
        if place.dir.to_str().is_none() {
            return Err(refused("is not UTF-8: name another".to_owned()));
        }
        if let Some(earlier) = [place.store(), place.ledger()].into_iter().find(|path| path.exists()) {
            return Err(refused(format!("holds an earlier run ({}): name another folder", earlier.display())));
        }
        Ok(place)
    }

    /// A folder that another process has prepared.
    pub(super) fn existing(dir: &Path) -> Self {
        Self { dir: dir.to_path_buf() }
    }

    pub(super) fn dir(&self) -> &Path {
        &self.dir
    }

    pub(super) fn store(&self) -> PathBuf {
        self.dir.join(STORE)
    }

    pub(super) fn store_url(&self) -> String {
        format!("sqlite://{}", self.store().display())
    }

    pub(super) fn ledger(&self) -> PathBuf {
        self.dir.join(LEDGER)
    }

    /// A command line that looks into the store.
    pub(super) fn look_inside(&self) -> String {
        let store = self.store().display().to_string();
        format!("sqlite3 {} \"select * from stent_overview limit 5\"", quoted(&store))
    }
}

/// A word of a shell's command line.
fn quoted(word: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "/._-+,:@".contains(c);
    if word.chars().all(is_plain) { word.to_owned() } else { format!("'{}'", word.replace('\'', r"'\''")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_is_made_and_one_with_an_earlier_run_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let asked = dir.path().join("new").join("deep");
        let place = Place::prepare(Some(&asked)).unwrap();
        std::fs::write(place.ledger(), "").unwrap();
        let refusal = Place::prepare(Some(&asked)).unwrap_err();
        assert!(refusal.contains("holds an earlier run"), "{refusal}");
    }

    #[test]
    fn a_folder_that_cannot_be_made_is_refused() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let refusal = Place::prepare(Some(&file.path().join("below"))).unwrap_err();
        assert!(refusal.contains("cannot be made"), "{refusal}");
    }

    #[test]
    fn the_command_that_looks_inside_can_be_pasted_whatever_the_folder_is_called() {
        let place = Place::existing(Path::new("/tmp/it's mine"));
        let wanted = r#"sqlite3 '/tmp/it'\''s mine/stent.db' "select * from stent_overview limit 5""#;
        assert_eq!(place.look_inside(), wanted);
    }
}
