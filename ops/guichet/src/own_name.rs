//! This program by a name that works from here, for the hints it prints.

use std::path::{Path, PathBuf};

/// `guichet` when the shell finds this program by that name, else its path, relative where it lies below this folder.
pub fn called() -> String {
    let Ok(program) = std::env::current_exe() else { return "guichet".to_owned() };
    let folders = std::env::var_os("PATH").unwrap_or_default();
    let here = std::env::current_dir().unwrap_or_default();
    name(&program, std::env::split_paths(&folders), &here)
}

/// A text whose commands in backticks can be typed as they stand.
pub fn in_hints(text: &str) -> String {
    text.replace("`guichet ", &format!("`{} ", called()))
}

fn name(program: &Path, mut folders: impl Iterator<Item = PathBuf>, here: &Path) -> String {
    let is_it = |folder: PathBuf| {
        std::fs::canonicalize(folder.join("guichet"))
            .is_ok_and(|found| std::fs::canonicalize(program).is_ok_and(|own| own == found))
    };
    if folders.any(is_it) {
        return "guichet".to_owned();
    }
    program.strip_prefix(here).unwrap_or(program).display().to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_is_named_as_the_shell_finds_it() {
        let root = std::env::temp_dir().join(format!("guichet-name-{}", std::process::id()));
        let (build, other, on_path) = (root.join("build"), root.join("other"), root.join("bin"));
        for folder in [&build, &other, &on_path] {
            std::fs::create_dir_all(folder).expect("made");
        }
        let program = build.join("guichet");
        std::fs::write(&program, "this one").expect("written");
        std::fs::write(other.join("guichet"), "another of that name").expect("written");
        std::os::unix::fs::symlink(&program, on_path.join("guichet")).expect("linked");
        let rows = [
            (vec![on_path.clone()], root.clone(), "guichet".to_owned()),
            (vec![other.clone()], root.clone(), "build/guichet".to_owned()),
            (vec![], other.clone(), program.display().to_string()),
        ];
        for (folders, here, wanted) in rows {
            assert_eq!(name(&program, folders.into_iter(), &here), wanted);
        }
        std::fs::remove_dir_all(&root).expect("removed");
    }
}
