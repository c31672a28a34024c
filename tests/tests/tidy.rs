//! Goal: the tree stays as easy to enter as it is: every module says what it is, no file outgrows a sitting, no link in
//! the documentation is dead, and nothing that belongs to one machine is in it.

use std::path::Path;

use alcove_tests::{project_files, workspace_root};

const LINES_MAX: usize = 600;
/// Longer files, and why.
const LONG_FILES: &[(&str, &str)] = &[];

fn read(path: &Path) -> String {
    std::fs::read_to_string(workspace_root().join(path)).unwrap_or_default()
}

fn with_extension(extension: &str) -> Vec<std::path::PathBuf> {
    let files = project_files();
    files.into_iter().filter(|path| path.extension().is_some_and(|found| found == extension)).collect()
}

#[test]
fn every_module_opens_with_a_sentence() {
    for path in with_extension("rs") {
        let text = read(&path);
        let is_test = path.file_name().is_some_and(|name| name == "tests.rs");
        let first = text.lines().next().unwrap_or_default();
        let opens = first.starts_with("//!") || first.starts_with("#![doc");
        assert!(opens || is_test, "{} opens with no sentence about itself", path.display());
    }
}

#[test]
fn no_file_outgrows_a_sitting() {
    for path in with_extension("rs").into_iter().chain(with_extension("py")) {
        let lines = read(&path).lines().count();
        let known = LONG_FILES.iter().any(|(long, _)| path == Path::new(long));
        assert!(lines <= LINES_MAX || known, "{} has {lines} lines", path.display());
    }
}

#[test]
fn no_link_in_the_documentation_is_dead() {
    let mut links = 0;
    for path in with_extension("md") {
        let text = read(&path);
        for target in text.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
            let target = target.split('#').next().unwrap_or_default();
            if target.is_empty() || target.contains("://") {
                continue;
            }
            links += 1;
            let file = workspace_root().join(path.parent().unwrap()).join(target);
            assert!(file.exists(), "{}: no file {target}", path.display());
        }
    }
    assert!(links > 10, "the documentation has lost its links");
}

#[test]
fn nothing_belongs_to_one_machine() {
    let strangers = ["/root/", "/home/", "/usr/local/cargo"];
    for path in project_files().into_iter().filter(|path| !path.ends_with("tidy.rs")) {
        let text = read(&path);
        for stranger in strangers {
            assert!(!text.contains(stranger), "{} names {stranger}", path.display());
        }
    }
}

/// SPEC.md is cited by section all over the crate; a section that is cited must exist.
#[test]
fn every_cited_section_of_the_spec_exists() {
    let spec = read(Path::new("crypto/SPEC.md"));
    let sections: Vec<&str> = spec
        .lines()
        .filter_map(|line| line.strip_prefix("## ").or_else(|| line.strip_prefix("### ")))
        .filter_map(|heading| heading.split(' ').next())
        .collect();
    let mut cited = 0;
    for path in with_extension("rs").into_iter().filter(|path| !path.ends_with("tidy.rs")) {
        for rest in read(&path).split("SPEC.md section ").skip(1) {
            let number: String = rest.chars().take_while(|c| c.is_ascii_digit() || *c == '.').collect();
            let number = number.trim_end_matches('.');
            assert!(sections.contains(&number), "{} cites section {number}", path.display());
            cited += 1;
        }
    }
    assert!(cited > 20, "the crate no longer cites its specification");
}
