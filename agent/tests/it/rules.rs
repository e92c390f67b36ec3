//! nft is the reference for what we tell the kernel ourselves.

use voltaxe_protocol::{CommandId, ObservedIsolation};
use voltaxe_sentinel::{
    clock::wall,
    isolation::{
        Kernel, Terms,
        ruleset::{Existing, Plan},
    },
    state_dir::StateDir,
};

use crate::net::{World, ip};

#[test]
fn the_kernel_holds_exactly_what_nft_makes_of_the_reviewed_text() {
    let world = World::new();
    let (host, lan) = (world.name("host"), world.name("lan"));
    ip(&["-n", &lan, "link", "add", "spare", "type", "veth", "peer", "name", "eth1", "netns", &host]);
    let servers = ["10.77.0.1:8080", "[fd77::1]:8080"].map(|server| server.parse().unwrap());
    for direct_port in [None, Some(8082)] {
        let plan = Plan::new(CommandId(42), &servers, &["eth0".to_owned(), "eth1".to_owned()])
            .with_direct_port(direct_port);
        world.nft(&plan.script(Existing::default()));
        let by_nft = (world.ruleset(), world.expressions());
        assert!(
            by_nft.0.contains("ip6 saddr fd77::1 tcp sport 8080") && by_nft.1.contains("[ bitwise reg 1")
        );
        assert_eq!(by_nft.0.contains("tcp dport 8082"), direct_port.is_some());
        world.nft("flush ruleset");

        let directory = tempfile::tempdir().unwrap();
        let state = StateDir::open(directory.path()).unwrap();
        let mut kernel = Kernel::new(state, None).with_direct_port(direct_port);
        world.within("host", || {
            // The second replaces the first, and once more itself.
            for generation in [41, 42, 42] {
                let observed =
                    kernel.isolate(CommandId(generation), &servers, &Terms::default(), wall()).unwrap();
                assert_eq!(observed.state, ObservedIsolation::Isolated);
                assert_eq!((observed.generation, observed.detail), (Some(CommandId(generation)), None));
            }
        });
        assert_eq!(world.ruleset(), by_nft.0);
        assert_eq!(world.expressions(), by_nft.1);
        world.nft("flush ruleset");
    }
}
