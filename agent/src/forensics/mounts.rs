use std::{
    collections::HashMap,
    ffi::OsString,
    io,
    os::unix::ffi::{OsStrExt as _, OsStringExt as _},
    path::{Path, PathBuf},
};

use serde::Serialize;

use super::proc;

const LARGEST_TABLE_BYTES: u64 = 16 * 1024 * 1024;
/// On disks and in memory of this machine. An unknown kind is treated as one of the network.
const LOCAL: [&str; 28] = [
    "bcachefs", "btrfs", "erofs", "exfat", "ext2", "ext3", "ext4", "f2fs", "hfsplus", "iso9660", "jfs",
    "minix", "msdos", "nilfs2", "ntfs", "ntfs3", "overlay", "ramfs", "reiserfs", "rootfs", "squashfs",
    "tmpfs", "ubifs", "udf", "ufs", "vfat", "xfs", "zfs",
];
/// Views of the kernel: no files of anybody.
const OF_THE_KERNEL: [&str; 22] = [
    "autofs",
    "binder",
    "binfmt_misc",
    "bpf",
    "cgroup",
    "cgroup2",
    "configfs",
    "debugfs",
    "devpts",
    "devtmpfs",
    "efivarfs",
    "fusectl",
    "hugetlbfs",
    "mqueue",
    "nsfs",
    "proc",
    "pstore",
    "rpc_pipefs",
    "securityfs",
    "selinuxfs",
    "sysfs",
    "tracefs",
];

/// What is mounted, as the kernel tells it. Nothing that is mounted is touched to find out.
#[derive(Clone, Debug, Default)]
pub struct Mounts {
    all: Vec<Mount>,
    /// The topmost mount of each place.
    by_point: HashMap<PathBuf, usize>,
}

#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub struct Mount {
    pub id: u32,
    pub parent: u32,
    pub device: String,
    /// What of the file system is mounted.
    pub root: PathBuf,
    pub point: PathBuf,
    pub options: String,
    pub file_system: String,
    pub source: String,
    pub file_system_options: String,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Kind {
    Local,
    Kernel,
    /// May not answer, and then whoever asks it hangs.
    Remote,
}

impl Mounts {
    /// From a `mountinfo` file (proc(5)).
    pub fn read(path: &Path) -> io::Result<Self> {
        Ok(Self::parse(&proc::read(path, LARGEST_TABLE_BYTES)?))
    }

    /// Lines that are not understood are left out.
    #[must_use]
    pub fn parse(table: &[u8]) -> Self {
        let all: Vec<Mount> = table.split(|byte| *byte == b'\n').filter_map(mount).collect();
        let by_point = all.iter().enumerate().map(|(at, mount)| (mount.point.clone(), at)).collect();
        Self { all, by_point }
    }

    #[must_use]
    pub fn all(&self) -> &[Mount] {
        &self.all
    }

    /// What `path` is on, decided by its name alone: it must be free of symbolic links.
    #[must_use]
    pub fn of(&self, path: &Path) -> Option<&Mount> {
        path.ancestors().find_map(|place| self.at(place))
    }

    /// What is mounted at exactly this place.
    #[must_use]
    pub fn at(&self, place: &Path) -> Option<&Mount> {
        self.by_point.get(place).map(|at| &self.all[*at])
    }

    /// A path on no known mount is local.
    #[must_use]
    pub fn kind(&self, path: &Path) -> Kind {
        self.of(path).map_or(Kind::Local, Mount::kind)
    }
}

impl Mount {
    #[must_use]
    pub fn kind(&self) -> Kind {
        let file_system = self.file_system.as_str();
        // A host whose root is on the network hangs without us when that does.
        if LOCAL.contains(&file_system) || self.point == Path::new("/") {
            Kind::Local
        } else if OF_THE_KERNEL.contains(&file_system) {
            Kind::Kernel
        } else {
            Kind::Remote
        }
    }
}

/// `id parent major:minor root point options [optional ..] - type source options`
fn mount(line: &[u8]) -> Option<Mount> {
    let mut words = line.split(|byte| *byte == b' ');
    let mut word = || words.next();
    let text = |bytes: &[u8]| super::text::text(&unescaped(bytes));
    let path = |bytes: &[u8]| PathBuf::from(OsString::from_vec(unescaped(bytes)));
    let number = |bytes: &[u8]| std::str::from_utf8(bytes).ok()?.parse().ok();
    let (id, parent) = (number(word()?)?, number(word()?)?);
    let device = text(word()?);
    let (root, point) = (path(word()?), path(word()?));
    let options = text(word()?);
    while word()? != b"-" {}
    Some(Mount {
        id,
        parent,
        device,
        root,
        point,
        options,
        file_system: text(word()?),
        source: text(word()?),
        file_system_options: text(word().unwrap_or_default()),
    })
}

/// The kernel writes space, tab, newline, backslash and `#` as three octal digits.
fn unescaped(word: &[u8]) -> Vec<u8> {
    let mut plain = Vec::with_capacity(word.len());
    let mut rest = word;
    while let Some((&byte, after)) = rest.split_first() {
        let code = after
            .first_chunk::<3>()
            .filter(|_| byte == b'\\')
            .and_then(|digits| u8::from_str_radix(std::str::from_utf8(digits).ok()?, 8).ok());
        plain.push(code.unwrap_or(byte));
        rest = if code.is_some() { &after[3..] } else { after };
    }
    plain
}

/// The name that the kernel gives a file without one, such as that of a deleted executable.
pub(super) fn is_deleted(target: &Path) -> bool {
    target.as_os_str().as_bytes().ends_with(b" (deleted)")
}

#[cfg(test)]
mod tests {
    use super::*;

    const TABLE: &str = "\
22 27 0:21 / /proc rw,relatime - proc proc rw
27 1 254:0 / / rw,relatime shared:1 - ext4 /dev/vda rw,discard
30 27 0:40 / /srv/nfs rw,relatime shared:9 master:2 - nfs4 nas:/export rw,vers=4.2,hard
31 27 0:41 / /mnt/with\\040space\\011and\\134 rw - fuse.sshfs x@y:/ rw
32 30 8:1 / /srv/nfs/local rw - xfs /dev/sda1 rw
33 27 0:44 / /auto rw - autofs systemd-1 rw
34 27 0:45 / /new rw - somefs none rw
35 27 0:46 / /over rw - tmpfs tmpfs rw
36 35 0:47 / /over rw - cifs //nas/x
not a mount
";

    #[test]
    fn a_dead_network_file_system_is_known_by_its_name() {
        let mounts = Mounts::parse(TABLE.as_bytes());
        assert_eq!(mounts.all().len(), 9);
        for (path, kind) in [
            ("/", Kind::Local),
            ("/etc/passwd", Kind::Local),
            ("/proc/1/exe", Kind::Kernel),
            ("/srv/nfs", Kind::Remote),
            ("/srv/nfs/a/b", Kind::Remote),
            ("/srv/nfs-not", Kind::Local),
            ("/srv/nfs/local/a", Kind::Local),
            ("/mnt/with space\tand\\/a", Kind::Remote),
            ("/auto/x", Kind::Kernel),
            ("/new/x", Kind::Remote),
            // What is mounted over something hides it.
            ("/over/x", Kind::Remote),
        ] {
            assert_eq!(mounts.kind(Path::new(path)), kind, "{path}");
        }
        assert_eq!(mounts.of(Path::new("/srv/nfs/a")).unwrap().source, "nas:/export");
    }

    #[test]
    fn a_root_on_the_network_is_read_all_the_same() {
        let mounts = Mounts::parse(b"27 1 0:9 / / rw - nfs4 nas:/root rw\n");
        assert_eq!(mounts.kind(Path::new("/etc")), Kind::Local);
    }

    #[test]
    fn this_host_has_mounts() {
        let mounts = Mounts::read(Path::new("/proc/self/mountinfo")).unwrap();
        assert_eq!(mounts.kind(Path::new("/proc/self/stat")), Kind::Kernel);
        assert_eq!(mounts.kind(Path::new("/etc")), Kind::Local);
    }
}
