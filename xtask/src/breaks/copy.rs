//! A copy of the project to break things in, kept between runs. A file is written only where its content differs, so
//! cargo builds again only what changed; and what is written gets the time of writing, never the original's: an older
//! time would make cargo take the last build, a broken one, for the present source.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use anyhow::Context;

/// The copy.
pub struct Copy {
    root: PathBuf,
}

/// What files held before something changed them; nothing for those that were not there.
pub struct Saved(Vec<(PathBuf, Option<Vec<u8>>)>);

impl Copy {
    /// Makes a folder hold exactly these files of the original.
    pub fn of(original: &Path, files: &[String], root: &Path) -> anyhow::Result<Self> {
        let mut wanted = BTreeSet::new();
        for file in files {
            let bytes = fs::read(original.join(file)).with_context(|| format!("cannot read {file}"))?;
            let place = root.join(file);
            write(&place, &bytes)?;
            let mode = fs::metadata(original.join(file))?.permissions();
            fs::set_permissions(&place, mode)?;
            wanted.insert(place);
        }
        remove_others(root, &wanted).with_context(|| format!("cannot clear {}", root.display()))?;
        Ok(Self { root: root.to_path_buf() })
    }

    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Remembers these files as they are now.
    pub fn save(&self, files: &[String]) -> Saved {
        Saved(
            files.iter().map(|file| self.root.join(file)).map(|place| (place.clone(), fs::read(place).ok())).collect(),
        )
    }
}

impl Saved {
    /// Puts the files back.
    pub fn restore(self) -> anyhow::Result<()> {
        for (place, bytes) in self.0 {
            match bytes {
                Some(bytes) => write(&place, &bytes)?,
                None if place.exists() => {
                    fs::remove_file(&place).with_context(|| format!("cannot remove {}", place.display()))?;
                }
                None => {}
            }
        }
        Ok(())
    }
}

fn write(place: &Path, bytes: &[u8]) -> anyhow::Result<()> {
    if fs::read(place).is_ok_and(|present| present == bytes) {
        return Ok(());
    }
    let attempt = || {
        fs::create_dir_all(place.parent().unwrap_or(place))?;
        fs::write(place, bytes)
    };
    attempt().with_context(|| format!("cannot write {}", place.display()))
}

/// Removes all files below a folder but these; a lock file that cargo wrote is no source and stays.
fn remove_others(folder: &Path, wanted: &BTreeSet<PathBuf>) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let path = entry.path();
        if entry.file_type()?.is_dir() {
            remove_others(&path, wanted)?;
        } else if !wanted.contains(&path) && entry.file_name() != "Cargo.lock" {
            fs::remove_file(path)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn files(names: &[&str]) -> Vec<String> {
        names.iter().map(|name| (*name).to_owned()).collect()
    }

    #[test]
    fn a_copy_holds_the_files_of_the_original_and_no_others() {
        let (original, copy) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        fs::create_dir(original.path().join("a")).unwrap();
        fs::write(original.path().join("a/one"), "1").unwrap();
        fs::write(original.path().join("two"), "2").unwrap();
        Copy::of(original.path(), &files(&["a/one", "two"]), copy.path()).unwrap();
        assert_eq!(fs::read(copy.path().join("a/one")).unwrap(), b"1");
        Copy::of(original.path(), &files(&["a/one"]), copy.path()).unwrap();
        assert!(!copy.path().join("two").exists());
    }

    #[test]
    fn a_file_that_is_equal_keeps_its_time_and_one_put_back_gets_a_new_one() {
        let (original, copy) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        fs::write(original.path().join("one"), "1").unwrap();
        let time = || fs::metadata(copy.path().join("one")).unwrap().modified().unwrap();
        let made = Copy::of(original.path(), &files(&["one"]), copy.path()).unwrap();
        let first = time();
        Copy::of(original.path(), &files(&["one"]), copy.path()).unwrap();
        assert_eq!(time(), first);

        let saved = made.save(&files(&["one", "new"]));
        fs::write(copy.path().join("one"), "broken").unwrap();
        fs::write(copy.path().join("new"), "added").unwrap();
        let broken = time();
        saved.restore().unwrap();
        assert_eq!(fs::read(copy.path().join("one")).unwrap(), b"1");
        assert!(time() >= broken);
        assert!(!copy.path().join("new").exists());
    }
}
