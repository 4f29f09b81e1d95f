//! The pages for readers: their links lead somewhere.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

fn pages() -> Vec<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let folder = |folder: PathBuf| fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let mut pages: Vec<_> = folder(root.to_owned()).chain(folder(root.join("docs"))).collect();
    pages.extend(folder(root.join("examples")).map(|example| example.join("README.md")));
    pages.retain(|page| page.is_file() && page.extension().is_some_and(|end| end == "md"));
    pages
}

/// The page without its blocks of code, in which `](` is no link and `#` no heading.
fn prose(page: &Path) -> String {
    fs::read_to_string(page).unwrap().split("```").step_by(2).collect()
}

/// As a forge makes them: lower case, no punctuation, hyphens for spaces.
fn anchors(page: &Path) -> BTreeSet<String> {
    let heading = |line: &str| line.trim_start_matches('#').trim().to_lowercase();
    let anchor =
        |text: String| text.chars().filter(|c| c.is_alphanumeric() || " -_".contains(*c)).map(|c| if c == ' ' { '-' } else { c }).collect();
    prose(page).lines().filter(|line| line.starts_with('#')).map(heading).map(anchor).collect()
}

#[test]
fn every_link_leads_to_a_file_that_is_there_and_to_a_heading_in_it() {
    let mut links = 0;
    for page in pages() {
        for link in prose(&page).split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
            if link.starts_with("http") {
                continue;
            }
            links += 1;
            let (file, anchor) = link.split_once('#').unwrap_or((link, ""));
            let target = if file.is_empty() { page.clone() } else { page.parent().unwrap().join(file) };
            assert!(target.exists(), "{}: {link} is not there", page.display());
            assert!(anchor.is_empty() || anchors(&target).contains(anchor), "{}: {link} has no such heading", page.display());
        }
    }
    assert!(links > 50, "{links} links");
}
