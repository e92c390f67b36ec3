//! What goes wrong, and how it is mended.

use super::*;
use crate::happening::{Fault, ToHost};

const SERVER_IS_DOWN: Duration = Duration::from_secs(8);
const DATABASE_IS_DOWN: Duration = Duration::from_secs(4);
const HOST_IS_DOWN: Duration = Duration::from_secs(10);
const CUT_OFF_FOR: Duration = Duration::from_secs(60);
const DISK_IS_FULL: Duration = Duration::from_secs(30);
/// A broken line is noticed at the latest after this.
const SILENT_FOR: Duration = Duration::from_secs(45);

impl World {
    pub(super) fn plan_faults(&mut self) {
        let plan = &self.plan;
        let faults = [
            (Fault::ServerDies, plan.server_dies),
            (Fault::DatabaseDies, plan.database_dies),
            (Fault::HostDies, plan.host_dies),
            (Fault::CutOff, plan.host_is_cut_off),
            (Fault::StreamBreaks, plan.stream_breaks),
            (Fault::DiskFills, plan.disk_fills),
            (Fault::Replay, plan.replay),
        ];
        for (fault, every) in faults {
            if let Some(every) = every {
                let mut at = Duration::ZERO;
                while at < self.plan.trouble_lasts {
                    at += self.random_up_to(2 * every) + Duration::from_millis(1);
                    self.after(at.min(self.plan.trouble_lasts), Happening::Fault(fault));
                }
            }
        }
    }

    pub(super) fn strike(&mut self, fault: Fault, crashes: &mut Crashes) {
        if self.is_healing() {
            return;
        }
        let host = self.random.usize(..self.hosts.len());
        self.note(format_args!("fault: {fault:?} (host {host})"));
        match fault {
            Fault::ServerDies if self.server.is_some() => {
                crashes.servers += 1;
                self.server_dies();
            }
            Fault::DatabaseDies => {
                crashes.databases += 1;
                self.queue.crash();
                self.queue.look(|tables| match self.plan.sabotage {
                    Some(Sabotage::DatabaseForgets) => tables.forget_newest(),
                    Some(Sabotage::ResultsAreReplaced) => tables.replace_results(),
                    Some(Sabotage::DiskLies | Sabotage::JournalIsLost) | None => {}
                });
                self.after_up_to(DATABASE_IS_DOWN, Happening::Mended(Mended::Database));
            }
            Fault::HostDies if self.hosts[host].core.is_some() => {
                crashes.hosts += 1;
                self.host_dies(host);
            }
            Fault::CutOff if !self.hosts[host].is_cut_off => {
                self.hosts[host].is_cut_off = true;
                self.break_stream(host, SILENT_FOR);
                self.after_up_to(CUT_OFF_FOR, Happening::Mended(Mended::Line(host)));
            }
            Fault::StreamBreaks => self.break_stream(host, Duration::from_secs(2)),
            Fault::DiskFills => {
                self.hosts[host].disk.is_full = true;
                self.after_up_to(DISK_IS_FULL, Happening::Mended(Mended::Disk(host)));
            }
            Fault::Replay => self.replay(host),
            Fault::ServerDies | Fault::HostDies | Fault::CutOff => {}
        }
    }

    pub(super) fn mend(&mut self, mended: Mended) {
        self.note(format_args!("mended: {mended:?}"));
        match mended {
            Mended::Server if self.server.is_none() => {
                let queue = self.queue.for_new_server();
                self.server = Some(Server::start(queue, &self.plan, self.clock, self.tell.clone()));
            }
            Mended::Database => self.queue.restart(),
            Mended::Host(host) if self.hosts[host].core.is_none() => self.boot(host),
            Mended::Line(host) => self.hosts[host].is_cut_off = false,
            Mended::Disk(host) => self.hosts[host].disk.is_full = false,
            Mended::Server | Mended::Host(_) => {}
        }
    }

    /// Trouble is over: no new faults, and no more losses.
    pub(super) fn is_healing(&self) -> bool {
        self.clock.elapsed() >= self.plan.trouble_lasts
    }

    fn server_dies(&mut self) {
        // Events that it published before it died were seen.
        self.hear_events();
        self.queue.server_dies();
        self.server = None;
        self.sockets.clear();
        for host in 0..self.hosts.len() {
            self.break_stream(host, Duration::from_secs(2));
        }
        self.after_up_to(SERVER_IS_DOWN, Happening::Mended(Mended::Server));
    }

    fn host_dies(&mut self, host: usize) {
        if let Some(number) = self.hosts[host].stream {
            self.after_up_to(Duration::from_secs(2), Happening::ServerLoses { host, number });
        }
        self.hosts[host].dies(&mut self.random);
        let records = self.hosts[host].disk.content();
        self.are_on_disk(&records);
        self.after_up_to(HOST_IS_DOWN, Happening::Mended(Mended::Host(host)));
    }

    fn boot(&mut self, host: usize) {
        let seed = self.random.u64(..);
        let (at, now) = (Instant::now(), self.clock.now());
        self.hosts[host].boots(seed, at, now);
        self.perform(host);
    }

    /// Nothing goes over the host's stream any more; each side notices by itself.
    fn break_stream(&mut self, host: usize, within: Duration) {
        let Some(number) = self.hosts[host].stream else { return };
        let boot = self.hosts[host].boot;
        self.broken.insert((host, number));
        self.after_up_to(within, Happening::Host { host, boot, what: ToHost::StreamEnds(number) });
        self.after_up_to(within, Happening::ServerLoses { host, number });
    }

    fn replay(&mut self, host: usize) {
        if self.offers.is_empty() {
            return;
        }
        let offer = self.offers[self.random.usize(..self.offers.len())].clone();
        self.after_up_to(
            Duration::from_secs(1),
            Happening::CallReaches { host, offer: Box::new(offer), reply: None },
        );
    }
}
