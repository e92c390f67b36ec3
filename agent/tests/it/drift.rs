//! What is put back, and what is not: other masters of the rules, crashes, starts of the host, releases elsewhere.

use chrono::TimeDelta;
use voltaxe_protocol::{CommandId, ObservedIsolation};
use voltaxe_sentinel::{
    clock::wall,
    isolation::{EndedBy, IsolationError, Kernel, Terms, Watch},
    state_dir::StateDir,
};

use crate::{
    bare::{Bare, servers},
    net::{World, ip},
};

#[test]
fn what_others_take_away_is_put_back() {
    let world = World::new();
    let bare = Bare::new(&world);
    let terms = Terms { auto_restore_at: Some(wall() + TimeDelta::hours(1)), ..Terms::default() };
    bare.isolate(1, &terms);
    assert_eq!(bare.watch(), Watch::Unchanged);
    let changes = [
        "flush ruleset",
        "insert rule inet voltaxe_isolation output accept",
        "flush chain inet voltaxe_isolation forward",
        "add chain inet voltaxe_isolation output { policy accept; }",
        "delete table netdev voltaxe_isolation",
        "add table inet voltaxe_isolation { flags dormant; }",
        "flush set inet voltaxe_isolation gate",
        "flush set inet voltaxe_isolation gate; add element inet voltaxe_isolation gate { 0x0 }",
        "add element inet voltaxe_isolation gate { 0x5 }",
        "insert rule netdev voltaxe_isolation egress_0 accept",
        "add chain inet voltaxe_isolation extra { type filter hook input priority -310; policy accept; }",
    ];
    for (index, change) in changes.iter().enumerate() {
        world.nft(change);
        let Watch::PutBack(drift) = bare.watch() else { panic!("{change}: not put back") };
        assert_eq!((drift.put_back, drift.count), (true, u32::try_from(index).unwrap() + 1), "{change}");
        let observed = bare.with(|kernel| kernel.observe(wall()));
        assert_eq!((observed.state, observed.generation), (ObservedIsolation::Isolated, Some(CommandId(1))));
        assert_eq!(observed.auto_restore_at, terms.auto_restore_at);
        assert_eq!(observed.drift, Some(drift), "{change}");
        assert_eq!(bare.watch(), Watch::Unchanged, "{change}");
        assert!(bare.is_cut_off(), "{change}");
    }
    // Devices that come later are no drift.
    let (host, lan) = (world.name("host"), world.name("lan"));
    ip(&["-n", &lan, "link", "add", "spare", "type", "veth", "peer", "name", "eth1", "netns", &host]);
    assert_eq!(bare.watch(), Watch::Extended { devices: vec!["eth1".to_owned()] });
    assert_eq!(bare.watch(), Watch::Unchanged);
    ip(&["-n", &lan, "link", "del", "spare"]);
    assert_eq!(bare.watch(), Watch::Unchanged);
    bare.with(|kernel| kernel.restore(CommandId(2), wall()).unwrap());
    assert_eq!(world.ruleset(), "");
    assert_eq!(bare.watch(), Watch::Unchanged);
}

#[test]
fn a_process_that_remembers_an_isolation_believes_another_that_ended_it() {
    let world = World::new();
    let bare = Bare::new(&world);
    world.within("host", || {
        let state = StateDir::open(bare.directory.path()).unwrap();
        let mut agent = Kernel::new(state, None);
        agent.isolate(CommandId(1), &servers(), &Terms::default(), wall()).unwrap();
        agent.confirm_contact(CommandId(1), &servers(), wall()).unwrap();
        // It has not written its state yet.
        bare.with(|other| other.release(EndedBy::Ticket, wall()).unwrap());
        agent.save();
        assert_eq!(
            agent.watch(wall()),
            Watch::Unchanged,
            "a release that was taken in while saving is no news"
        );
        assert_eq!(agent.observe(wall()).state, ObservedIsolation::NotIsolated);

        agent.isolate(CommandId(2), &servers(), &Terms::default(), wall()).unwrap();
        agent.confirm_contact(CommandId(2), &servers(), wall()).unwrap();
        agent.save();
        bare.with(|other| other.release(EndedBy::Ticket, wall()).unwrap());
        let expected = Watch::ReleasedElsewhere { generation: CommandId(2), by: EndedBy::Ticket };
        assert_eq!(agent.watch(wall()), expected);
        let again = agent.isolate(CommandId(2), &servers(), &Terms::default(), wall());
        assert!(matches!(again, Err(IsolationError::Ended { by: EndedBy::Ticket, .. })), "{again:?}");
    });
    assert_eq!(world.ruleset(), "");
}

#[test]
fn wherever_a_crash_falls_the_watch_ends_in_the_state_that_was_ordered() {
    let world = World::new();
    let bare = Bare::new(&world);
    let file = bare.directory.path().join("isolation.json");
    let edit = |change: &dyn Fn(&mut serde_json::Value)| {
        let mut content = serde_json::from_slice(&std::fs::read(&file).unwrap()).unwrap();
        change(&mut content);
        std::fs::write(&file, serde_json::to_vec(&content).unwrap()).unwrap();
    };
    // Contact confirmed on disk, the kernel still has the provisional rules.
    bare.with(|kernel| kernel.isolate(CommandId(1), &servers(), &Terms::default(), wall()).unwrap());
    edit(&|content| {
        content["rules"]["contact_by"] = serde_json::Value::Null;
        content["rules"]["fingerprint"] = serde_json::json!({});
    });
    assert_eq!(bare.watch(), Watch::Reapplied { generation: CommandId(1) });
    assert!(!world.ruleset().contains("timeout"));
    assert_eq!(bare.watch(), Watch::Unchanged);

    // Another boot: nothing in the kernel, and no drift.
    edit(&|content| content["rules"]["boot_id"] = "another".into());
    world.nft("flush ruleset");
    assert_eq!(bare.watch(), Watch::Reapplied { generation: CommandId(1) });
    assert!(bare.is_cut_off());

    // Released on disk, the kernel still has the rules.
    let before = std::fs::read(&file).unwrap();
    bare.with(|kernel| kernel.restore(CommandId(2), wall()).unwrap());
    let released = std::fs::read(&file).unwrap();
    std::fs::write(&file, &before).unwrap();
    world.nft("flush ruleset");
    assert!(matches!(bare.watch(), Watch::PutBack(_)));
    std::fs::write(&file, &released).unwrap();
    bare.watch();
    assert_eq!(world.ruleset(), "");

    // Provisional rules do not outlive a restart of the host.
    bare.with(|kernel| kernel.isolate(CommandId(3), &servers(), &Terms::default(), wall()).unwrap());
    edit(&|content| content["rules"]["boot_id"] = "another".into());
    world.nft("flush ruleset");
    assert_eq!(bare.watch(), Watch::Lifted { generation: CommandId(3), by: EndedBy::NoContact });
    assert_eq!(world.ruleset(), "");

    // A time that ran out while the host was off.
    bare.isolate(4, &Terms { auto_restore_at: Some(wall() + TimeDelta::hours(1)), ..Terms::default() });
    edit(&|content| content["rules"]["terms"]["auto_restore_at"] = "2020-01-01T00:00:00Z".into());
    world.nft("flush ruleset");
    assert_eq!(bare.watch(), Watch::Lifted { generation: CommandId(4), by: EndedBy::Timer });
    assert_eq!(world.ruleset(), "");

    // The state file of an agent that knew no terms.
    bare.isolate(5, &Terms::default());
    edit(&|content| {
        let rules = content["rules"].as_object_mut().unwrap();
        rules.retain(|name, _| {
            ["generation", "servers", "devices", "fingerprint", "not_covered"].contains(&name.as_str())
        });
        content
            .as_object_mut()
            .unwrap()
            .retain(|name, _| ["generation", "rules", "at"].contains(&name.as_str()));
    });
    assert_eq!(bare.watch(), Watch::Unchanged);
    world.nft("flush ruleset");
    assert!(matches!(bare.watch(), Watch::PutBack(_)));
    assert!(bare.is_cut_off());
}

#[test]
fn a_state_file_that_cannot_be_written_is_told_and_stands_in_nobody_s_way() {
    let world = World::new();
    let directory = tempfile::tempdir().unwrap();
    world.within("host", || {
        let state = StateDir::open(&directory.path().join("state")).unwrap();
        let mut kernel = Kernel::new(state, None);
        kernel.isolate(CommandId(1), &servers(), &Terms::default(), wall()).unwrap();
        kernel.confirm_contact(CommandId(1), &servers(), wall()).unwrap();
        assert_eq!(kernel.observe(wall()).detail, None);
        std::fs::remove_dir_all(directory.path().join("state")).unwrap();
        let dns = Terms { allow_dns: true, ..Terms::default() };
        kernel.change(CommandId(2), &servers(), &dns, wall()).unwrap();
        let observed = kernel.observe(wall());
        assert_eq!(observed.state, ObservedIsolation::Isolated);
        assert!(observed.detail.unwrap().contains("isolation.json cannot be written"));
        assert_eq!(kernel.restore(CommandId(3), wall()).unwrap().state, ObservedIsolation::NotIsolated);
    });
    assert_eq!(world.ruleset(), "");
}
