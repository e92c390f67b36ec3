//! What the packages carry beside the binary: completions, man pages, the example of a configuration.

use std::{fs, path::Path, process::Command};

use voltaxe_sentinel::config::Config;

fn printed(arguments: &[&str]) -> String {
    let output = Command::new(env!("CARGO_BIN_EXE_voltaxe-sentinel")).args(arguments).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn completions_know_the_subcommands() {
    for shell in ["bash", "zsh", "fish"] {
        let script = printed(&["completions", shell]);
        assert!(script.contains("enroll") && script.contains("status"), "{shell}: {script}");
    }
}

#[test]
fn every_subcommand_has_a_man_page() {
    let directory = tempfile::tempdir().unwrap();
    printed(&["man", directory.path().to_str().unwrap()]);
    for page in ["voltaxe-sentinel.1", "voltaxe-sentinel-run.1", "voltaxe-sentinel-enroll.1"] {
        let text = fs::read_to_string(directory.path().join(page)).unwrap();
        assert!(text.contains(".SH NAME") && text.contains(".SH SYNOPSIS"), "{page}: {text}");
    }
}

/// Its keys are commented out; without the `#` each must be one that the agent takes.
#[test]
fn the_example_names_only_keys_that_exist() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("packaging/agent.conf.example");
    let example = fs::read_to_string(path).unwrap();
    Config::parse(&example, |_| None).unwrap();
    let switched_on: String = example
        .lines()
        .map(|line| {
            line.strip_prefix("# ").filter(|rest| rest.contains(" = ")).unwrap_or(line).to_owned() + "\n"
        })
        .collect();
    let config = Config::parse(&switched_on, |_| None).unwrap();
    assert_eq!(config.server_url().unwrap().to_string(), "https://voltaxe.example:8443");
}
