use std::io;

use super::{
    netlink::{BatchError, Netlink},
    nft::{self, NftError},
    observe::Found,
    ruleset::Plan,
    transaction,
};

#[derive(Debug, thiserror::Error)]
pub(super) enum ApplyError {
    #[error("the kernel cannot be asked ({0})")]
    NoKernel(io::Error),
    /// Run the agent as root; nothing was changed.
    #[error("the agent may not change the kernel's rules; it needs root")]
    NotPermitted,
    /// Try less; nothing was changed.
    #[error("the kernel refused the rules ({kernel}); {nft}")]
    Refused { kernel: io::Error, nft: NftError },
    /// Look at what is there.
    #[error("{0}")]
    Unknown(NftError),
}

/// Replaces our tables by the plan's and reads them back. What the kernel refuses of us is tried once more by nft,
/// which knows more kernels than we do.
pub(super) fn apply(netfilter: &mut Netlink, plan: &Plan) -> Result<Found, ApplyError> {
    let before = Found::read(netfilter).map_err(ApplyError::NoKernel)?;
    match netfilter.batch(&transaction::replace(before.existing(), plan)) {
        Ok(()) => Found::read(netfilter).map_err(ApplyError::NoKernel),
        Err(BatchError::NotPermitted) => Err(ApplyError::NotPermitted),
        Err(BatchError::Failed(kernel)) => {
            tracing::warn!(error = %kernel, "the kernel refused the isolation's transaction; nft tries");
            apply_by_nft(netfilter, plan, kernel)
        }
    }
}

fn apply_by_nft(netfilter: &mut Netlink, plan: &Plan, kernel: io::Error) -> Result<Found, ApplyError> {
    // Read anew: the refusal may come of somebody else's change, or an answer was lost.
    let before = Found::read(netfilter).map_err(ApplyError::NoKernel)?;
    match nft::run(&plan.script(before.existing())) {
        Ok(()) => Found::read(netfilter).map_err(ApplyError::NoKernel),
        Err(error @ NftError::TimedOut) => Err(ApplyError::Unknown(error)),
        Err(nft) => Err(ApplyError::Refused { kernel, nft }),
    }
}

/// Root only, as all that changes rules; each in a network namespace of its own.
#[cfg(test)]
mod tests {
    use std::{fs::File, os::fd::AsFd as _, process::Command, thread};

    use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};
    use voltaxe_protocol::CommandId;

    use super::*;
    use crate::isolation::ruleset::Existing;

    fn plan(devices: &[&str]) -> Plan {
        let servers = ["10.77.0.1:8080", "[fd77::1]:8080"].map(|server| server.parse().unwrap());
        Plan::new(CommandId(7), &servers, &devices.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>())
    }

    fn ip(arguments: &[&str]) {
        assert!(Command::new("ip").args(arguments).status().unwrap().success(), "ip {arguments:?}");
    }

    /// With one device, `eth0`.
    fn in_namespace(part: &str, work: impl FnOnce(&mut Netlink) + Send) {
        let name = format!("vxtu{}-{part}", std::process::id());
        ip(&["netns", "add", &name]);
        let peer = ["peer", "name", "eth1"];
        ip(&[&["-n", &name, "link", "add", "eth0", "type", "veth"][..], &peer].concat());
        let outcome = thread::scope(|scope| {
            let inside = || {
                let namespace = File::open(format!("/run/netns/{name}")).unwrap();
                move_into_link_name_space(namespace.as_fd(), Some(LinkNameSpaceType::Network)).unwrap();
                work(&mut Netlink::netfilter().unwrap());
            };
            scope.spawn(inside).join()
        });
        ip(&["netns", "del", &name]);
        outcome.unwrap();
    }

    #[test]
    fn nft_replaces_what_is_there_just_as_we_do() {
        in_namespace("nft", |netfilter| {
            let (plan, devices) = (plan(&["eth0"]), ["eth0".to_owned()]);
            let ours = apply(netfilter, &plan).unwrap();
            assert_eq!(ours.differences_from_plan(&plan, &devices), Vec::<String>::new());
            let by_nft = apply_by_nft(netfilter, &plan, io::ErrorKind::Unsupported.into()).unwrap();
            assert_eq!(by_nft.timeless(), ours.timeless());
        });
    }

    #[test]
    fn a_refusal_says_why_and_changes_nothing() {
        in_namespace("refused", |netfilter| {
            let before = apply(netfilter, &plan(&["eth0"])).unwrap();
            let no_kernel_takes = "longer-than-any-device-name";
            let refusal = apply(netfilter, &plan(&["eth0", no_kernel_takes])).unwrap_err();
            assert!(matches!(refusal, ApplyError::Refused { .. }), "{refusal}");
            assert!(refusal.to_string().contains("the kernel refused"), "{refusal}");
            assert!(refusal.to_string().contains("nft refused"), "{refusal}");
            assert_eq!(Found::read(netfilter).unwrap(), before);
        });
    }

    #[test]
    fn the_chains_of_hundreds_of_devices_fit_into_one_transaction() {
        in_namespace("many", |netfilter| {
            let plan = plan(&["eth0"; 500]);
            netfilter.batch(&transaction::replace(Existing::default(), &plan)).unwrap();
            let found = Found::read(netfilter).unwrap();
            assert_eq!(found.differences_from_plan(&plan, &["eth0".to_owned()]), Vec::<String>::new());
        });
    }
}
