//! The pages of `features/`: one for each capability, numbered from 001 on without a gap, each with its own number at the
//! head of its first line. Does not judge what a page says.

use super::Finding;
use super::source::Source;

const FOLDER: &str = "features/";
const RULE: &str = "page of a capability";

pub(super) fn check(sources: &[Source]) -> Vec<Finding> {
    let mut pages: Vec<&Source> = sources.iter().filter(|source| source.path.starts_with(FOLDER)).collect();
    pages.sort_unstable_by_key(|page| &page.path);
    pages.into_iter().zip(1..).filter_map(|(page, number)| fault(page, number)).collect()
}

fn fault(page: &Source, number: u32) -> Option<Finding> {
    let name = page.path.strip_prefix(FOLDER)?;
    if !(name.starts_with(&format!("{number:03}-")) && name.ends_with(".md")) {
        let advice = format!("call it {number:03}-NAME.md: pages are numbered from 001 on without a gap");
        return Some(page.finding(1, RULE, advice));
    }
    let heading = page.text.lines().next().unwrap_or_default();
    let has_number = heading.starts_with(&format!("# {number:03} "));
    (!has_number).then(|| page.finding(1, RULE, format!("begin it with `# {number:03} ` and its title")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn advice(pages: &[(&str, &str)]) -> Vec<String> {
        let sources: Vec<_> = pages.iter().map(|(name, text)| Source::new(format!("{FOLDER}{name}"), *text)).collect();
        check(&sources).into_iter().map(|finding| finding.advice).collect()
    }

    #[test]
    fn pages_of_capabilities_are_numbered_without_a_gap_and_begin_with_their_numbers() {
        assert_eq!(advice(&[("002-b.md", "# 002 B\n"), ("001-a.md", "# 001 A\n")]), [""; 0]);
        let gap = advice(&[("001-a.md", "# 001 A\n"), ("003-c.md", "# 003 C\n")]);
        assert_eq!(gap, ["call it 002-NAME.md: pages are numbered from 001 on without a gap"]);
        let twice = advice(&[("001-a.md", "# 001 A\n"), ("001-b.md", "# 001 B\n")]);
        assert_eq!(twice, ["call it 002-NAME.md: pages are numbered from 001 on without a gap"]);
        assert_eq!(advice(&[("001-a.txt", "# 001 A\n")]).len(), 1);
        assert_eq!(advice(&[("001-a.md", "# 002 A\n")]), ["begin it with `# 001 ` and its title"]);
    }
}
