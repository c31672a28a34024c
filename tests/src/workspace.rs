//! What the workspace says about itself: its root, its files as git knows them, and cargo's own account of packages and
//! features.

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

/// The folder that holds the workspace.
///
/// # Panics
/// When this crate has been moved out of it.
#[must_use]
pub fn workspace_root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("tests/ lies in the workspace").to_owned()
}

/// Every file of the project below the root that is not ignored, as relative paths.
///
/// # Panics
/// When git cannot say.
#[must_use]
pub fn project_files() -> Vec<PathBuf> {
    let output = run("git", &["ls-files", "-z", "--cached", "--others", "--exclude-standard"]);
    output
        .split('\0')
        .filter(|path| !path.is_empty())
        .map(PathBuf::from)
        .filter(|path| workspace_root().join(path).exists())
        .collect()
}

/// What `cargo metadata` says.
///
/// # Panics
/// When cargo cannot say.
#[must_use]
pub fn cargo_metadata() -> Value {
    let text = run(env!("CARGO"), &["metadata", "--format-version", "1", "--no-deps", "--locked"]);
    serde_json::from_str(&text).expect("cargo speaks JSON")
}

/// Runs a command in the root and gives what it prints.
///
/// # Panics
/// When it fails.
#[must_use]
pub fn run(program: &str, arguments: &[&str]) -> String {
    let output = Command::new(program)
        .args(arguments)
        .current_dir(workspace_root())
        .output()
        .unwrap_or_else(|error| panic!("{program} does not start: {error}"));
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{program} {arguments:?}: {errors}");
    String::from_utf8(output.stdout).expect("text")
}
