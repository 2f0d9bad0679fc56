//! libpq's password file: one line for each `host:port:database:user:password`, `*` for any, `\` before a `:` or `\`. It
//! is read at each connect, so that a changed password is taken up. It is never written, and never quoted in errors.

use std::path::Path;

/// Whom a password is looked up for.
pub(super) struct Wanted<'a> {
    /// Names that the host goes by: a socket's directory is also `localhost`.
    pub(super) hosts: &'a [&'a str],
    pub(super) port: u16,
    pub(super) database: &'a str,
    pub(super) user: &'a str,
}

/// The password in the file; `None` where there is no file or no line for this.
pub(super) fn password(file: &Path, wanted: &Wanted<'_>) -> Option<String> {
    let text = std::fs::read_to_string(file).ok()?;
    if is_open_to_others(file) {
        tracing::warn!(file = %file.display(), "the password file is open to others and is not read: chmod 600 it");
        return None;
    }
    text.lines().filter(|line| !line.starts_with('#')).find_map(|line| of_line(line, wanted))
}

#[cfg(unix)]
fn is_open_to_others(file: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt;
    std::fs::metadata(file).is_ok_and(|found| found.permissions().mode() & 0o077 != 0)
}

#[cfg(not(unix))]
fn is_open_to_others(_: &Path) -> bool {
    false
}

fn of_line(line: &str, wanted: &Wanted<'_>) -> Option<String> {
    let port = wanted.port.to_string();
    let mut fields = fields(line).into_iter();
    let mut is = |names: &[&str]| fields.next().is_some_and(|field| field == "*" || names.contains(&field.as_str()));
    let fits = is(wanted.hosts) && is(&[&port]) && is(&[wanted.database]) && is(&[wanted.user]);
    fields.next().filter(|_| fits)
}

/// The fields between colons, with what was escaped taken back.
fn fields(line: &str) -> Vec<String> {
    let mut fields = vec![String::new()];
    let mut characters = line.chars();
    while let Some(character) = characters.next() {
        let literal = match character {
            ':' => {
                fields.push(String::new());
                continue;
            }
            '\\' => characters.next(),
            other => Some(other),
        };
        if let Some(last) = fields.last_mut() {
            last.extend(literal);
        }
    }
    fields
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_line_that_fits_has_the_password() {
        let wanted = |user| Wanted { hosts: &["db.example"], port: 5433, database: "stent", user };
        let text =
            ["# db.example:5433:stent:ada:no", "db.example:5432:*:*:other port", "*:5433:st*:ada:no wildcard in it"]
                .into_iter()
                .chain([r"db.example:*:stent:a\:da:with \\ and \: in it", "*:*:*:ada:found", "*:*:*:*:too late"]);
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("pgpass");
        std::fs::write(&file, text.collect::<Vec<_>>().join("\n")).unwrap();
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            std::fs::set_permissions(&file, PermissionsExt::from_mode(0o644)).unwrap();
            assert_eq!(password(&file, &wanted("ada")), None, "a file that others can read is not used");
            std::fs::set_permissions(&file, PermissionsExt::from_mode(0o600)).unwrap();
        }
        assert_eq!(password(&file, &wanted("ada")).unwrap(), "found");
        assert_eq!(password(&file, &wanted("a:da")).unwrap(), r"with \ and : in it");
        assert_eq!(password(&file, &wanted("bob")).unwrap(), "too late");
        assert_eq!(password(&folder.path().join("none"), &wanted("ada")), None);
    }
}
