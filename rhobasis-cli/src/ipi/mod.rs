//! `rhobasis ipi`: energies, forces and virials for i-PI, over its sockets.

/// What is known, and what is answered.
mod client;
/// The messages of the protocol.
mod message;
/// Waiting for a server, and noticing that it is gone.
mod socket;
/// Atomic units.
mod units;

use std::io::Write;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use clap::{ArgGroup, Args};
use rhobasis::extxyz::Reader;
use rhobasis::potential::Potential;
use rhobasis::structure::{periodicity, symbol};
use rhobasis::{Error, Result, Structure};

use crate::failure::{Failure, Outcome};
use crate::files::Files;
use crate::input::{Keys, load};
use crate::interrupt;
use crate::text::{count, field, tell};
use client::{Client, Extra};
use socket::{Address, Stop};

/// Serve a potential to i-PI over a UNIX or a TCP socket
///
/// Connects to i-PI, or another server of its protocol, and answers with energy, forces and virial until the server says EXIT.
/// The server sends positions and cells only: species, order and periodicity of the atoms are those of the template.
#[derive(Args)]
#[command(after_help = EXAMPLE, group = ArgGroup::new("server").required(true).args(["unix", "port"]))]
pub struct Ipi {
    /// File of a potential, *.rho, as 'rhobasis train' writes it
    model: PathBuf,
    /// Extended XYZ file; its first frame, or that of a slice, has the atoms in the order of the input of i-PI
    #[arg(long, value_name = "DATA")]
    template: String,
    /// Name of a UNIX socket: the <address> of <ffsocket mode='unix'>
    #[arg(long, value_name = "NAME", conflicts_with_all = ["host", "port"])]
    unix: Option<String>,
    /// What stands before the name of a UNIX socket, as for i-PI itself
    #[arg(long, value_name = "PREFIX", default_value = "/tmp/ipi_", conflicts_with_all = ["host", "port"])]
    sockets_prefix: String,
    /// Name or address of the machine on which the server runs: the <address> of <ffsocket mode='inet'>
    #[arg(long, value_name = "HOST", default_value = "localhost")]
    host: String,
    /// Port of a TCP socket: the <port> of <ffsocket mode='inet'>
    #[arg(long, value_name = "PORT")]
    port: Option<u16>,
    /// Seconds to wait for the server at the start
    #[arg(long, value_name = "SECONDS", default_value_t = 60.0, value_parser = seconds)]
    wait: f64,
    /// Seconds to wait for it again when the connection is lost; 0 ends the command with an error then
    #[arg(long, value_name = "SECONDS", default_value_t = 0.0, value_parser = seconds)]
    reconnect: f64,
    /// What to send beside, as JSON in the extras of i-PI
    #[arg(long, value_name = "LIST", value_enum, value_delimiter = ',')]
    extras: Vec<Extra>,
}

const EXAMPLE: &str = "\
Example: i-PI runs an input with <ffsocket name='rho' mode='unix'> <address> silicon </address> </ffsocket>
  i-pi input.xml &
  rhobasis ipi silicon.rho --template start.xyz --unix silicon
Example: the same over a network, and the energy of each atom in <trajectory extra_type='energies'> extras </trajectory>
  rhobasis ipi silicon.rho --template start.xyz --host node17 --port 31415 --extras energies";

/// Longest time that makes sense, in s: a month.
const LONGEST: f64 = 30.0 * 86400.0;

fn seconds(text: &str) -> std::result::Result<f64, String> {
    let number = text.parse().ok().filter(|s| (0.0..=LONGEST).contains(s));
    number.ok_or_else(|| format!("give a number of seconds from 0 to {LONGEST}"))
}

impl Ipi {
    pub fn files(&self) -> Files {
        Files::reading([&self.model]).and_data([&self.template])
    }

    pub fn run(&self, out: &mut dyn Write) -> Outcome {
        let potential: Potential = load(&self.model)?;
        let (template, place) = self.template()?;
        field(out, "template", format!("{place}, {}, pbc {}", formula(&template), periodicity(template.pbc)))?;
        let client = Client::new(potential, template, self.extras.clone());
        let mut client = client.map_err(|e| e.in_file(&self.template))?;
        let _hold = interrupt::hold();
        let address = self.address();
        let (mut deadline, mut served) = (after(self.wait), None);
        loop {
            let ended = address.connect(deadline).and_then(|mut socket| {
                tell(format!("note: connected to {address}"));
                client.talk(&mut socket)
            });
            match ended {
                Ok(()) => break,
                Err(Stop::Interrupted) => return Err(Failure::Interrupted(client.summary())),
                Err(Stop::Refused(e)) => return Err(e.into()),
                Err(Stop::Lost(problem)) => {
                    // One that accepts, and is gone again without a question, is not waited for anew.
                    if served.replace(client.served()) != Some(client.served()) {
                        deadline = after(self.reconnect);
                    }
                    self.lost(&address, &problem, client.served(), deadline)?;
                }
            }
        }
        field(out, "server", format!("{address} said EXIT"))?;
        Ok(field(out, "evaluated", client.summary())?)
    }

    /// Goes on to wait for the server, or ends.
    fn lost(&self, address: &Address, problem: &str, served: usize, deadline: Instant) -> Result<()> {
        let problem = format!("{problem}, after {} evaluated structures", count(served));
        if self.reconnect == 0.0 || deadline <= Instant::now() {
            let remedy = "see what i-PI says; --reconnect SECONDS waits for it to come back";
            return Err(Error::file(address.to_string(), problem, remedy));
        }
        tell(format!("note: {address}: {problem}; waiting for it to come back"));
        Ok(())
    }

    fn address(&self) -> Address {
        match (&self.unix, self.port) {
            (Some(name), _) => Address::Unix(format!("{}{name}", self.sockets_prefix).into()),
            (None, port) => Address::Tcp { host: self.host.clone(), port: port.unwrap_or_default() },
        }
    }

    /// The first frame, and where it is from.
    fn template(&self) -> Result<(Structure, String)> {
        let mut reader = Reader::open(&self.template, &Keys::none())?;
        let Some(structure) = reader.next().transpose()? else {
            return Err(Error::file(&self.template, "no frame is selected", "change the slice after the '@'"));
        };
        let frame = reader.frame_index().unwrap_or(0);
        let path = reader.path().map_or(self.template.clone(), |path| path.display().to_string());
        let named = |e: Error| e.at_frame(frame).in_file(&path);
        if structure.is_empty() {
            return Err(named(Error::structure(None, "there are no atoms", "give the frame that i-PI starts from")));
        }
        if structure.pbc == [false; 3] && structure.info.iter().any(|(key, _)| key.starts_with("CELL")) {
            let problem = "the cell is in a comment of i-PI, and would not be seen";
            let remedy = "write it as extended XYZ, Lattice=\"...\" pbc=\"T T T\", and give i-PI that file with \
                          <file mode='ase'>";
            return Err(named(Error::structure(None, problem, remedy)));
        }
        Ok((structure, format!("{path}, frame {frame}")))
    }
}

fn after(seconds: f64) -> Instant {
    Instant::now() + Duration::from_secs_f64(seconds)
}

/// Atoms in their order, `Si8 O16`.
fn formula(structure: &Structure) -> String {
    let runs = structure.species.chunk_by(|a, b| a == b);
    let shown: Vec<String> = runs.map(|run| format!("{}{}", symbol(run[0]), run.len())).collect();
    match shown.len() {
        0..=12 => shown.join(" "),
        n => format!("{} ... ({n} runs of one species)", shown[..12].join(" ")),
    }
}
