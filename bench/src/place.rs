//! Where the databases of a run lie: a folder of its own beside the build's output, so on a disk that is synced for
//! real, gone when the run ends. Refuses file systems in memory, where a commit costs nothing and no ratio holds.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use anyhow::{Context, ensure};
use tempfile::TempDir;

/// Others may pass through: a server may run as another user.
const PASSAGE: u32 = 0o711;

/// A folder for the databases of one run.
pub struct Place {
    folder: TempDir,
    filesystem: String,
    made: AtomicU32,
}

impl Place {
    /// A fresh folder in `parent`, or else in the folder that the build writes to.
    pub fn new(parent: Option<&Path>) -> anyhow::Result<Self> {
        let parent = parent.map_or_else(target_folder, |parent| Ok(parent.to_path_buf()))?;
        let parent = parent.canonicalize().with_context(|| format!("there is no folder {}", parent.display()))?;
        let filesystem = filesystem_of(&parent);
        ensure!(
            !matches!(filesystem.as_str(), "tmpfs" | "ramfs"),
            "{} lies in memory, where nothing is synced: name a folder on a disk with --dir",
            parent.display()
        );
        let passage = Permissions::from_mode(PASSAGE);
        let folder = tempfile::Builder::new().prefix("bench-").permissions(passage).tempdir_in(&parent)?;
        Ok(Self { folder, filesystem, made: AtomicU32::new(0) })
    }

    /// The file of a database that does not exist yet.
    pub fn fresh_file(&self) -> PathBuf {
        let number = self.made.fetch_add(1, Ordering::Relaxed);
        self.folder.path().join(format!("{number}.db"))
    }

    /// The folder itself.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// What it is formatted with, as the kernel names it.
    pub fn filesystem(&self) -> &str {
        &self.filesystem
    }
}

/// `target/` as this program finds itself in `target/release/`.
fn target_folder() -> anyhow::Result<PathBuf> {
    let program = std::env::current_exe()?;
    let target = program.parent().and_then(Path::parent).context("the program lies in no build folder")?;
    Ok(target.to_path_buf())
}

/// The type of the file system that holds `path`: that of the longest mount point above it.
fn filesystem_of(path: &Path) -> String {
    fs::read_to_string("/proc/self/mounts").map_or_else(|_| "unknown".to_owned(), |mounts| holder(&mounts, path))
}

fn holder(mounts: &str, path: &Path) -> String {
    mounts
        .lines()
        .filter_map(|line| {
            let mut words = line.split(' ').skip(1);
            Some((words.next()?, words.next()?))
        })
        .filter(|(point, _)| path.starts_with(point))
        // The later of two mounts on one point covers the earlier.
        .max_by_key(|(point, _)| point.len())
        .map_or_else(|| "unknown".to_owned(), |(_, filesystem)| filesystem.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_mount_point_above_a_path_holds_it() {
        let mounts = "/dev/vda / ext4 rw 0 0\ntmpfs /tmp tmpfs rw 0 0\noverlay /tmp/disk overlay rw 0 0\n";
        assert_eq!(holder(mounts, Path::new("/home/target")), "ext4");
        assert_eq!(holder(mounts, Path::new("/tmp/target")), "tmpfs");
        assert_eq!(holder(mounts, Path::new("/tmp/disk/target")), "overlay");
        assert_eq!(holder(mounts, Path::new("/tmpfs")), "ext4");
        assert_eq!(holder("", Path::new("/home")), "unknown");
    }
}
