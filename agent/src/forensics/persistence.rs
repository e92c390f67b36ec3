//! Where malware makes itself at home: what starts by itself, who may come in, what runs with more rights than its user.

mod programs;

use std::path::{Path, PathBuf};

use super::{
    collection::{Collection, Part, Trouble},
    file::{self, FileFacts},
    run::Collector,
    walk::{Reach, walk},
};

const LARGEST_FILE: u64 = 4 * 1024 * 1024;
const TREE: Reach = Reach { depth: 8, entries: 20_000 };
const MOST_HOMES: usize = 2000;

/// Something to look at. `Home` ones are below each user's home directory.
enum Place {
    File(&'static str),
    /// A tree whose files are copied.
    Tree(&'static str),
    /// A tree of which metadata and digests are enough: packages put it there.
    Digested(&'static str),
    Home(&'static str),
    HomeTree(&'static str),
    /// Names and metadata alone: there are private keys among them.
    HomeNames(&'static str),
}

use Place::{Digested, File, Home, HomeNames, HomeTree, Tree};

const CRON: &[Place] = &[
    File("/etc/crontab"),
    File("/etc/anacrontab"),
    Tree("/etc/cron.d"),
    Tree("/etc/cron.hourly"),
    Tree("/etc/cron.daily"),
    Tree("/etc/cron.weekly"),
    Tree("/etc/cron.monthly"),
    Tree("/var/spool/cron"),
    Tree("/var/spool/at"),
    Tree("/var/spool/anacron"),
];
const SYSTEMD: &[Place] = &[
    Tree("/etc/systemd"),
    Tree("/run/systemd/system"),
    Tree("/run/systemd/transient"),
    Tree("/run/systemd/generator"),
    Tree("/run/systemd/generator.early"),
    Tree("/run/systemd/generator.late"),
    Tree("/usr/local/lib/systemd"),
    Digested("/usr/lib/systemd/system"),
    Digested("/usr/lib/systemd/user"),
    Digested("/usr/lib/systemd/system-generators"),
    Digested("/lib/systemd/system"),
    HomeTree(".config/systemd"),
    HomeTree(".local/share/systemd"),
    Tree("/etc/init.d"),
    File("/etc/inittab"),
    File("/etc/rc.local"),
    File("/etc/rc.d/rc.local"),
];
const SSH: &[Place] = &[
    File("/etc/ssh/sshd_config"),
    Tree("/etc/ssh/sshd_config.d"),
    File("/etc/ssh/ssh_config"),
    Tree("/etc/ssh/ssh_config.d"),
    File("/etc/ssh/sshrc"),
    Home(".ssh/authorized_keys"),
    Home(".ssh/authorized_keys2"),
    Home(".ssh/config"),
    Home(".ssh/known_hosts"),
    Home(".ssh/environment"),
    Home(".ssh/rc"),
    HomeNames(".ssh"),
    Home(".rhosts"),
    Home(".shosts"),
    File("/etc/hosts.equiv"),
];
const SHELL: &[Place] = &[
    File("/etc/profile"),
    Tree("/etc/profile.d"),
    File("/etc/bash.bashrc"),
    File("/etc/bashrc"),
    File("/etc/environment"),
    Tree("/etc/zsh"),
    File("/etc/zshenv"),
    File("/etc/zshrc"),
    Tree("/etc/fish"),
    File("/etc/shells"),
    Home(".bashrc"),
    Home(".bash_profile"),
    Home(".bash_login"),
    Home(".bash_logout"),
    Home(".bash_aliases"),
    Home(".profile"),
    Home(".zshrc"),
    Home(".zshenv"),
    Home(".zprofile"),
    Home(".zlogin"),
    Home(".zlogout"),
    Home(".kshrc"),
    Home(".cshrc"),
    Home(".tcshrc"),
    Home(".login"),
    Home(".pam_environment"),
    Home(".vimrc"),
    HomeTree(".config/fish"),
];
const LOADER: &[Place] = &[
    File("/etc/ld.so.preload"),
    File("/etc/ld.so.conf"),
    Tree("/etc/ld.so.conf.d"),
    Digested("/usr/lib/python3/dist-packages/usercustomize.py"),
];
const PAM: &[Place] = &[
    Tree("/etc/pam.d"),
    File("/etc/pam.conf"),
    Tree("/etc/security"),
    File("/etc/nsswitch.conf"),
    Digested("/usr/lib/x86_64-linux-gnu/security"),
    Digested("/usr/lib/aarch64-linux-gnu/security"),
    Digested("/usr/lib64/security"),
    Digested("/usr/lib/security"),
];
const DEVICES: &[Place] = &[
    Tree("/etc/udev"),
    Tree("/run/udev/rules.d"),
    Digested("/usr/lib/udev/rules.d"),
    Digested("/lib/udev/rules.d"),
];
const BOOT: &[Place] = &[
    File("/etc/default/grub"),
    Tree("/etc/default/grub.d"),
    Tree("/etc/grub.d"),
    File("/boot/grub/grub.cfg"),
    File("/boot/grub2/grub.cfg"),
    Tree("/boot/loader/entries"),
    File("/etc/kernel/cmdline"),
    File("/etc/modules"),
    Tree("/etc/modules-load.d"),
    Tree("/etc/modprobe.d"),
    File("/etc/sysctl.conf"),
    Tree("/etc/sysctl.d"),
    Tree("/etc/initramfs-tools"),
    Tree("/etc/dracut.conf.d"),
    Tree("/etc/binfmt.d"),
];
const ACCOUNTS: &[Place] = &[
    File("/etc/passwd"),
    File("/etc/group"),
    File("/etc/sudoers"),
    Tree("/etc/sudoers.d"),
    File("/etc/doas.conf"),
    Tree("/etc/polkit-1"),
    File("/etc/login.defs"),
    File("/etc/hosts"),
    File("/etc/resolv.conf"),
    File("/etc/hosts.allow"),
    File("/etc/hosts.deny"),
];
const HOOKS: &[Place] = &[
    Tree("/etc/xdg/autostart"),
    HomeTree(".config/autostart"),
    Tree("/etc/update-motd.d"),
    Tree("/etc/apt/apt.conf.d"),
    Tree("/etc/apt/sources.list.d"),
    File("/etc/apt/sources.list"),
    Tree("/etc/yum.repos.d"),
    Tree("/etc/dnf/plugins"),
    Tree("/etc/NetworkManager/dispatcher.d"),
    Tree("/etc/network"),
    Tree("/etc/networkd-dispatcher"),
    Tree("/etc/dhcp"),
    Tree("/etc/ppp"),
    Tree("/etc/acpi"),
    Tree("/etc/logrotate.d"),
    File("/etc/xinetd.conf"),
    Tree("/etc/xinetd.d"),
    File("/etc/inetd.conf"),
    Home(".gitconfig"),
    File("/etc/gitconfig"),
];

pub(super) fn collectors() -> Vec<Collector> {
    vec![
        Collector {
            name: "ld_preload",
            step: "Copying the loader's settings",
            run: |c| places(c, "ld_preload", LOADER),
        },
        Collector { name: "cron", step: "Copying cron jobs", run: |c| places(c, "cron", CRON) },
        Collector {
            name: "systemd",
            step: "Copying units and timers",
            run: |c| places(c, "systemd", SYSTEMD),
        },
        Collector {
            name: "ssh",
            step: "Copying SSH settings and authorised keys",
            run: |c| places(c, "ssh", SSH),
        },
        Collector {
            name: "shell",
            step: "Copying what shells start with",
            run: |c| places(c, "shell", SHELL),
        },
        Collector { name: "pam", step: "Copying the rules of PAM", run: |c| places(c, "pam", PAM) },
        Collector {
            name: "accounts",
            step: "Copying accounts and rights",
            run: |c| places(c, "accounts", ACCOUNTS),
        },
        Collector { name: "udev", step: "Copying device rules", run: |c| places(c, "udev", DEVICES) },
        Collector { name: "boot", step: "Copying boot settings", run: |c| places(c, "boot", BOOT) },
        Collector { name: "hooks", step: "Copying other hooks", run: |c| places(c, "hooks", HOOKS) },
        Collector {
            name: "temporary_programs",
            step: "Looking for programs in temporary directories",
            run: programs::temporary,
        },
        Collector {
            name: "privileged_files",
            step: "Looking for programs with more rights than their users",
            run: programs::privileged,
        },
    ]
}

fn places(collection: &mut Collection<'_>, name: &str, places: &[Place]) -> Result<(), Trouble> {
    let homes = homes(collection);
    let mut files = Vec::new();
    let ended = places.iter().try_for_each(|place| match place {
        File(path) => one(collection, &collection.host.path(path), &mut files),
        Home(path) => homes.iter().try_for_each(|home| one(collection, &home.join(path), &mut files)),
        Tree(path) => tree(collection, &collection.host.path(path), &mut files),
        HomeTree(path) => homes.iter().try_for_each(|home| tree(collection, &home.join(path), &mut files)),
        Digested(path) => digested(collection, &collection.host.path(path), &mut files),
        HomeNames(path) => homes.iter().try_for_each(|home| names(collection, &home.join(path), &mut files)),
    });
    files.sort_by(|one: &FileFacts, other| one.path.cmp(&other.path));
    files.dedup_by(|one, other| one.path == other.path && one.entry == other.entry);
    collection.last_list(&format!("persistence/{name}.json"), &files)?;
    ended
}

/// Of all users that have one; each once.
pub(super) fn homes(collection: &mut Collection<'_>) -> Vec<PathBuf> {
    let passwd = collection.small_text("/etc/passwd").unwrap_or_default();
    let named = passwd.lines().filter_map(|line| line.split(':').nth(5));
    let mut homes: Vec<PathBuf> = named
        .chain(["/root"])
        .filter(|home| home.starts_with('/') && home.len() > 1)
        .map(|home| collection.host.path(home))
        .collect();
    homes.sort();
    homes.dedup();
    if homes.len() > MOST_HOMES {
        collection.fail_with(format!(
            "only the first {MOST_HOMES} of {} home directories were looked at",
            homes.len()
        ));
        homes.truncate(MOST_HOMES);
    }
    homes
}

fn one(collection: &mut Collection<'_>, path: &Path, files: &mut Vec<FileFacts>) -> Result<(), Trouble> {
    files.extend(collection.copy(path, LARGEST_FILE, Part::First)?);
    Ok(())
}

fn tree(collection: &mut Collection<'_>, path: &Path, files: &mut Vec<FileFacts>) -> Result<(), Trouble> {
    walk(collection, path, TREE, &mut |collection, found| {
        if rustix::fs::FileType::from_raw_mode(found.stat.st_mode) != rustix::fs::FileType::Directory {
            one(collection, &found.path, files)?;
        }
        Ok(())
    })
}

fn digested(collection: &mut Collection<'_>, path: &Path, files: &mut Vec<FileFacts>) -> Result<(), Trouble> {
    walk(collection, path, TREE, &mut |collection, found| {
        if let Some(mut facts) = collection.look(&found.path)
            && facts.kind != "directory"
        {
            if facts.kind == "file" {
                facts.sha256 = digest(collection, &found.path)?;
            }
            files.push(facts);
        }
        Ok(())
    })
}

fn names(collection: &mut Collection<'_>, path: &Path, files: &mut Vec<FileFacts>) -> Result<(), Trouble> {
    walk(collection, path, TREE, &mut |collection, found| {
        files.extend(collection.look(&found.path));
        Ok(())
    })
}

fn digest(collection: &mut Collection<'_>, path: &Path) -> Result<Option<String>, Trouble> {
    match file::open_regular(&collection.mounts, path) {
        Ok((mut opened, stat)) => collection.digest(&mut opened, &stat, path),
        Err(error) => {
            collection.fail(path, &error);
            Ok(None)
        }
    }
}
