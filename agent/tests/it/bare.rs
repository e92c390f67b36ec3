//! The kernel of a host without an agent, as the processes that come and go on it see it.

use voltaxe_protocol::{CommandId, ObservedIsolation};
use voltaxe_sentinel::{
    clock::wall,
    isolation::{Applied, Kernel, Terms, Watch},
    state_dir::StateDir,
};

use crate::net::{OUTSIDE, PORT, SERVER, World};

/// The kernel of a world's host, without an agent.
pub(crate) struct Bare<'a> {
    world: &'a World,
    pub(crate) directory: tempfile::TempDir,
}

impl<'a> Bare<'a> {
    pub(crate) fn new(world: &'a World) -> Self {
        Self { world, directory: tempfile::tempdir().unwrap() }
    }

    /// What a process that starts now knows.
    pub(crate) fn with<T: Send>(&self, work: impl FnOnce(&mut Kernel) -> T + Send) -> T {
        self.world.within("host", || {
            let state = StateDir::open(self.directory.path()).unwrap();
            let applied = Applied::read(&state).unwrap();
            let mut kernel = Kernel::new(state, applied);
            let value = work(&mut kernel);
            kernel.save();
            value
        })
    }

    pub(crate) fn isolate(&self, generation: i64, terms: &Terms) {
        self.with(|kernel| {
            kernel.isolate(CommandId(generation), &servers(), terms, wall()).unwrap();
            let observed = kernel.confirm_contact(CommandId(generation), &servers(), wall()).unwrap();
            assert_eq!((observed.state, observed.is_provisional), (ObservedIsolation::Isolated, false));
        });
    }

    pub(crate) fn watch(&self) -> Watch {
        self.with(|kernel| kernel.watch(wall()))
    }

    pub(crate) fn is_cut_off(&self) -> bool {
        self.world.talk("host", OUTSIDE[0]).is_none()
    }
}

pub(crate) fn servers() -> [std::net::SocketAddr; 1] {
    [format!("{}:{PORT}", SERVER[0]).parse().unwrap()]
}
