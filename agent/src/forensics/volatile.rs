//! What is gone at the next reboot.

mod files;
mod kernel;
mod logins;
mod network;
mod processes;
mod sockets;

use std::path::Path;

use super::{proc, run::Collector};

/// In the order of their running: what changes fastest first.
pub(super) fn collectors() -> Vec<Collector> {
    vec![
        Collector { name: "processes", step: "Listing processes", run: processes::list },
        Collector { name: "sockets", step: "Listing sockets and their owners", run: sockets::list },
        Collector { name: "network", step: "Reading routes and neighbours", run: network::read },
        Collector { name: "nftables", step: "Reading firewall rules", run: network::rules },
        Collector { name: "open_files", step: "Listing open files", run: files::list },
        Collector { name: "logins", step: "Reading users and logins", run: logins::read },
        Collector { name: "modules", step: "Listing kernel modules", run: kernel::modules },
        Collector { name: "kernel", step: "Reading the kernel's settings", run: kernel::settings },
        Collector { name: "mounts", step: "Listing mounts", run: kernel::mounts },
        Collector {
            name: "deleted_binaries",
            step: "Copying deleted programs that run",
            run: processes::deleted,
        },
        Collector { name: "process_digests", step: "Digesting running programs", run: processes::digests },
    ]
}

/// The kernel's random id of this boot.
pub(super) fn boot_id(proc: &Path) -> String {
    let id = proc::read(&proc.join("sys/kernel/random/boot_id"), 100).unwrap_or_default();
    String::from_utf8_lossy(&id).trim().to_owned()
}
