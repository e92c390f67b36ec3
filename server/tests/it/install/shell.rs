//! A shell in which nothing can change this host: stand-ins note what they are called with.

use std::{
    fs,
    io::Write as _,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use sha2::{Digest as _, Sha256};
use tempfile::TempDir;

pub const PACKAGES: [&str; 3] = [
    "voltaxe-sentinel_0.1.0-1_amd64.deb",
    "voltaxe-sentinel-0.1.0-x86_64.tar.gz",
    "voltaxe-sentinel-0.1.0-aarch64.tar.gz",
];

/// Programs that the installer calls and that would change something, or tell of this machine.
const STAND_INS: [&str; 8] = ["sudo", "dpkg", "rpm", "tar", "systemctl", "voltaxe-sentinel", "uname", "id"];

pub struct Bench(TempDir);

#[derive(Debug)]
pub struct Output {
    pub worked: bool,
    /// Both outputs, standard output first.
    pub said: String,
}

impl Bench {
    pub fn new() -> Self {
        let bench = Self(tempfile::tempdir().unwrap());
        for directory in ["bin", "packages", "image"] {
            fs::create_dir(bench.0.path().join(directory)).unwrap();
        }
        bench.make_packages();
        for name in STAND_INS {
            bench.stub(name, "");
        }
        bench.stub("sudo", "exec \"$@\"");
        bench.stub("uname", "case $1 in -s) echo Linux ;; -m) echo x86_64 ;; esac");
        bench.stub("id", "echo 0");
        bench.stub(
            "voltaxe-sentinel",
            &format!("cat >'{}'", bench.path("stdin-of-voltaxe-sentinel").display()),
        );
        // Only an installation from a tar would write by itself.
        bench.stub("tar", "exit 1");
        bench
    }

    fn make_packages(&self) {
        let stage = self.path("stage");
        let put = |name: &str, text: &str| {
            let path = stage.join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        };
        put("usr/bin/voltaxe-sentinel", "the agent\n");
        put("usr/lib/voltaxe-sentinel/setup", "the setup\n");
        put(
            "usr/lib/voltaxe-sentinel/files",
            "usr/bin/voltaxe-sentinel\nusr/lib/voltaxe-sentinel/setup\nusr/lib/voltaxe-sentinel/files\n",
        );
        let mut list = String::new();
        for name in PACKAGES {
            let path = self.packages().join(name);
            if name.ends_with(".tar.gz") {
                let made =
                    Command::new("tar").arg("-czf").arg(&path).arg("-C").arg(&stage).arg("usr").status();
                assert!(made.unwrap().success());
            } else {
                fs::write(&path, "a Debian package").unwrap();
            }
            let digest = Sha256::digest(fs::read(&path).unwrap());
            list += &digest.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
            list += &format!("  {name}\n");
        }
        fs::write(self.packages().join("SHA256SUMS"), list).unwrap();
    }

    pub fn packages(&self) -> PathBuf {
        self.path("packages")
    }

    /// An empty directory to install into.
    pub fn image(&self) -> String {
        self.path("image").to_str().unwrap().to_owned()
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    pub fn read(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).unwrap()
    }

    /// A program that notes its name and arguments, then does what `body` says.
    pub fn stub(&self, name: &str, body: &str) {
        write_stub(&self.path("bin"), name, &self.path("calls"), body);
    }

    pub fn with_real_tar(&self) {
        fs::remove_file(self.path("bin/tar")).unwrap();
    }

    /// What the stand-ins of these names, or of all, were called with.
    pub fn called(&self, names: &[&str]) -> String {
        let calls = fs::read_to_string(self.path("calls")).unwrap_or_default();
        let is_wanted =
            |line: &&str| names.is_empty() || names.contains(&line.split(' ').next().unwrap_or_default());
        calls.lines().filter(is_wanted).map(|line| format!("{line}\n")).collect()
    }

    /// Temporary files that nobody has removed.
    pub fn left_behind(&self) -> Vec<String> {
        let names = fs::read_dir(self.0.path()).unwrap().map(|entry| entry.unwrap().file_name());
        names.filter_map(|name| name.into_string().ok()).filter(|name| name.starts_with("tmp.")).collect()
    }

    pub fn forget(&self) {
        let _ = fs::remove_file(self.path("calls"));
    }

    pub async fn run(&self, script: &str, arguments: &[&str]) -> Output {
        let file = self.path("install.sh");
        fs::write(&file, script).unwrap();
        let mut command = self.shell();
        command.arg(file).args(arguments);
        finish(command).await
    }

    pub async fn run_line(&self, line: &str) -> Output {
        let mut command = self.shell();
        command.arg("-c").arg(line);
        finish(command).await
    }

    fn shell(&self) -> Command {
        let mut command = Command::new("sh");
        let path = format!("{}:{}", self.path("bin").display(), std::env::var("PATH").unwrap());
        command.env("PATH", path).env("TMPDIR", self.0.path()).env_remove("http_proxy").stdin(Stdio::null());
        command
    }

    /// A shell with stand-ins for everything that the installer may call, and nothing else.
    pub fn alone(&self) -> Alone {
        let directory = self.path("alone");
        fs::create_dir_all(&directory).unwrap();
        for name in STAND_INS.iter().chain(&[
            "curl",
            "wget",
            "mktemp",
            "sha256sum",
            "cut",
            "cat",
            "rm",
            "mkdir",
            "cp",
            "mv",
        ]) {
            write_stub(&directory, name, &self.path("calls"), "exit 1");
        }
        Alone(directory)
    }
}

fn write_stub(directory: &Path, name: &str, calls: &Path, body: &str) {
    let path = directory.join(name);
    let text = format!("#!/bin/sh\necho \"{name} $*\" >>'{}'\n{body}\n", calls.display());
    fs::write(&path, text).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
}

pub struct Alone(PathBuf);

impl Alone {
    /// As `curl .. | sh` does.
    pub fn pipe_into_shell(&self, script: &str) {
        let mut shell = Command::new("/bin/sh")
            .env_clear()
            .env("PATH", &self.0)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        // A shell that met an error reads no further.
        let _ = shell.stdin.take().unwrap().write_all(script.as_bytes());
        shell.wait().unwrap();
    }
}

/// Off the test's own thread, on which the server answers.
async fn finish(mut command: Command) -> Output {
    let output = tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap();
    let said =
        [output.stdout, output.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).concat();
    Output { worked: output.status.success(), said }
}
