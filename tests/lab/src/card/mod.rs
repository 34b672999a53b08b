//! The lab's virtual purse card: a PBOC electronic purse, byte for byte as the published layouts have it.
//!
//! A [`Card`] is what the issuer fixed ([`Personalisation`]), what its EEPROM holds ([`State`]) and what lasts until
//! the next reset. It does no IO, knows no clock, and is cheap to create and to clone: simulators run millions.
//!
//! ```text
//! power_on ─▶ MF ─SELECT(AID)─▶ application ─VERIFY─▶ PIN known ─INITIALIZE─▶ begun ─DEBIT/CREDIT─▶ application
//!                                   ▲  any other command than DEBIT/CREDIT forgets what was begun  │
//!                                   └──────── a completed operation forgets the PIN ◀──────────────┘
//! reset, power off, tear: back to MF; nothing of the session is left, all of the EEPROM is.
//! ```
//!
//! Source: PBOC e-purse (JR/T 0025.1/.2) as rebuilt from independent public implementations; not yet tried against a
//! physical card. Where products differ (the SN in the log, amount 0 in INITIALIZE, PIN for the EP) the
//! personalisation has a setting.

pub(crate) mod apdu;
pub(crate) mod crypto;
mod elsewhere;
pub(crate) mod faults;
mod files;
pub(crate) mod formulas;
mod load;
mod personalisation;
mod purchase;
mod random;
mod security;
pub(crate) mod snapshot;
mod state;
mod status;
pub(crate) mod transport;
mod values;

use std::sync::Arc;

use apdu::Command;
use crypto::Key8;
use files::{Directory, FileId};
use random::Random;

pub use crypto::{Key16, NotAKey};
pub use elsewhere::{LoadedElsewhere, OtherShop, PaidElsewhere};
pub use faults::{Fault, ScriptedFault};
pub use formulas::{LoadRequest, Purchase};
pub use personalisation::{Aid, CardKeys, Interface, LogSn, NotAnAid, Personalisation, Purses};
pub use snapshot::{SnapshotError, fuzz_snapshot};
pub use state::{Life, Log, LogRecord, PurseKind, PurseProof, PurseState, State};
pub use status::StatusWord;
pub use values::{
    Asn, CardDate, CardTime, IssuerId, Mac, Minor, NotAField, NotAPin, Pin, PsamTerminalNumber, Serial,
    TerminalSn,
};

/// Instruction bytes, as fault scripts name them.
pub mod instruction {
    /// SELECT.
    pub const SELECT: u8 = 0xA4;
    /// READ BINARY.
    pub const READ_BINARY: u8 = 0xB0;
    /// READ RECORD.
    pub const READ_RECORD: u8 = 0xB2;
    /// VERIFY.
    pub const VERIFY: u8 = 0x20;
    /// GET CHALLENGE.
    pub const GET_CHALLENGE: u8 = 0x84;
    /// GET RESPONSE (T=0).
    pub const GET_RESPONSE: u8 = 0xC0;
    /// GET BALANCE.
    pub const GET_BALANCE: u8 = 0x5C;
    /// INITIALIZE FOR LOAD and FOR PURCHASE.
    pub const INITIALIZE: u8 = 0x50;
    /// CREDIT FOR LOAD.
    pub const CREDIT: u8 = 0x52;
    /// DEBIT FOR PURCHASE.
    pub const DEBIT: u8 = 0x54;
    /// GET TRANSACTION PROVE.
    pub const GET_PROOF: u8 = 0x5A;
}

/// What comes back from the card.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CardReply {
    /// An answer: data, then two status bytes (unless a fault made noise of it).
    Answer(Vec<u8>),
    /// An answer, and directly after it the card has left the field, or has no power.
    LastAnswer(Vec<u8>),
    /// Nothing, and the card is still there: the reader times out.
    Mute,
    /// The card has left the field, or has no power. Only [`Card::power_on`] brings it back.
    Torn,
}

/// What the purses hold when the card is made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Opening {
    /// Money in the passbook.
    pub ed: Minor,
    /// Money in the wallet.
    pub ep: Minor,
    /// Where all four counters start.
    pub sn: u16,
}

/// A virtual purse card.
#[derive(Clone, Debug)]
pub struct Card {
    personalisation: Arc<Personalisation>,
    state: State,
    session: Session,
    script: faults::Script,
    random: Random,
    powered: bool,
}

/// What lasts until reset.
#[derive(Clone, Debug, Default)]
struct Session {
    directory: Directory,
    file: Option<FileId>,
    pin_verified: bool,
    begun: Begun,
    /// What waits for GET RESPONSE.
    pending: Vec<u8>,
    mute: bool,
    counterfeit: bool,
}

/// What INITIALIZE began.
#[derive(Clone, Debug, Default)]
enum Begun {
    #[default]
    Nothing,
    Purchase {
        purse: PurseKind,
        amount: Minor,
        terminal: PsamTerminalNumber,
        rnd: [u8; 4],
    },
    Load {
        request: LoadRequest,
        session: Key8,
    },
}

/// Data and a status word that is not an error.
pub(crate) struct Reply {
    pub(crate) data: Vec<u8>,
    pub(crate) status: StatusWord,
}

impl Reply {
    pub(crate) fn ok(data: Vec<u8>) -> Outcome {
        Ok(Self {
            data,
            status: StatusWord::OK,
        })
    }
}

pub(crate) type Outcome = Result<Reply, StatusWord>;

/// An odd number of bytes that no command ever answers with.
pub(crate) const GARBAGE: [u8; 3] = [0x5A, 0xA5, 0x3C];

impl Card {
    /// Makes a card, without power.
    pub fn new(personalisation: Arc<Personalisation>, opening: Opening) -> Self {
        let state = State {
            revision: 0,
            life: Life::Usable,
            pin_tries_left: personalisation.pin_tries_max,
            ed: PurseState::opening(opening.ed, opening.sn),
            ep: PurseState::opening(opening.ep, opening.sn),
            log: Log::default(),
        };
        Self::restore(personalisation, state)
    }

    /// Makes a card from a stored state, without power and without faults.
    pub fn restore(personalisation: Arc<Personalisation>, state: State) -> Self {
        let seed = u64::from_be_bytes(personalisation.serial.asn().0) ^ state.revision.rotate_left(32);
        Self {
            personalisation,
            state,
            session: Session::default(),
            script: faults::Script::default(),
            random: Random::new(seed),
            powered: false,
        }
    }

    /// What the issuer fixed.
    pub fn personalisation(&self) -> &Personalisation {
        &self.personalisation
    }

    /// What the EEPROM holds.
    pub fn state(&self) -> &State {
        &self.state
    }

    /// Counts changes of the EEPROM: whoever stores the card writes it when this number has moved, before the answer
    /// leaves.
    pub fn revision(&self) -> u64 {
        self.state.revision
    }

    /// The money in one purse.
    pub fn balance(&self, purse: PurseKind) -> Minor {
        self.state.purse(purse).balance
    }

    /// All the money on the card, in minor units.
    pub fn money(&self) -> u64 {
        u64::from(self.state.ed.balance.0) + u64::from(self.state.ep.balance.0)
    }

    /// Makes the card's challenges differ from those of its last life. Without it they follow from the serial number
    /// and the state, which is what a simulator wants.
    pub fn stir(&mut self, seed: u64) {
        self.random.stir(seed);
    }

    /// Scripts a fault.
    pub fn script(&mut self, fault: ScriptedFault) {
        self.script.add(fault);
    }

    /// Takes back the faults that have not struck.
    pub fn clear_script(&mut self) {
        self.script.clear();
    }

    /// How many scripted faults have not struck yet.
    pub fn faults_waiting(&self) -> usize {
        self.script.waiting()
    }

    /// Blocks or unblocks the application, as the issuer would.
    pub fn set_life(&mut self, life: Life) {
        self.state.set_life(life);
    }

    /// The card enters the field. Answers its ATR.
    pub fn power_on(&mut self) -> &'static [u8] {
        self.powered = true;
        self.reset()
    }

    /// The reader resets the card: the session is forgotten. Answers the ATR.
    pub fn reset(&mut self) -> &'static [u8] {
        self.session = Session::default();
        self.personalisation.interface.atr()
    }

    /// The card loses power: the session is forgotten.
    pub fn power_off(&mut self) {
        self.session = Session::default();
        self.powered = false;
    }

    /// Whether the card has power.
    pub fn is_powered(&self) -> bool {
        self.powered
    }

    /// Executes one command APDU, or the fault that waits for it. Each purse operation is atomic: before it the old
    /// EEPROM stands, after it the new one, whatever becomes of the answer.
    pub fn process(&mut self, apdu: &[u8]) -> CardReply {
        if !self.powered {
            return CardReply::Torn;
        }
        if self.session.mute {
            return CardReply::Mute;
        }
        let struck = apdu
            .get(1)
            .and_then(|instruction| self.script.strike(*instruction));
        let Some(fault) = struck else {
            return CardReply::Answer(self.execute(apdu));
        };
        match fault {
            Fault::TearBeforeExecute => self.tear(),
            Fault::TearAfterExecute => {
                self.execute(apdu);
                self.tear()
            }
            Fault::GarbageAnswer => {
                self.execute(apdu);
                CardReply::Answer(GARBAGE.to_vec())
            }
            Fault::WrongMac2 => {
                self.session.counterfeit = true;
                let answer = self.execute(apdu);
                self.session.counterfeit = false;
                CardReply::Answer(answer)
            }
            Fault::StatusBeforeExecute(status) => CardReply::Answer(status.0.to_be_bytes().to_vec()),
            Fault::StatusAfterExecute(status) => {
                self.execute(apdu);
                CardReply::Answer(status.0.to_be_bytes().to_vec())
            }
            Fault::BytesAfterExecute(bytes) => {
                self.execute(apdu);
                CardReply::Answer(bytes.to_vec())
            }
            Fault::MuteUntilReset => {
                self.session.mute = true;
                CardReply::Mute
            }
            Fault::MuteAfterExecute => {
                self.execute(apdu);
                self.session.mute = true;
                CardReply::Mute
            }
        }
    }

    fn tear(&mut self) -> CardReply {
        self.power_off();
        CardReply::Torn
    }

    fn execute(&mut self, apdu: &[u8]) -> Vec<u8> {
        match Command::parse(apdu) {
            Ok(command) => {
                let outcome = self.perform(&command);
                transport::answer(
                    self.personalisation.interface,
                    &command,
                    outcome,
                    &mut self.session.pending,
                )
            }
            Err(status) => transport::answer_status(status),
        }
    }

    /// Executes a command as if the whole answer could always be sent.
    fn perform(&mut self, command: &Command<'_>) -> Outcome {
        use instruction::*;
        let iso = command.class == 0x00;
        let purse = command.class == 0x80;
        if !iso && !purse {
            return Err(StatusWord::WRONG_CLASS);
        }
        if command.instruction == GET_RESPONSE && iso {
            return transport::get_response(command, &mut self.session.pending);
        }
        self.session.pending.clear();
        let begun = std::mem::take(&mut self.session.begun);
        match command.instruction {
            SELECT if iso => self.select(command),
            READ_BINARY if iso => self.read_binary(command),
            READ_RECORD if iso => self.read_record(command),
            VERIFY if iso => self.verify(command),
            GET_CHALLENGE if iso => self.get_challenge(command),
            GET_BALANCE if purse => self.get_balance(command),
            INITIALIZE if purse => self.initialize(command),
            DEBIT if purse => self.debit_for_purchase(command, begun),
            CREDIT if purse => self.credit_for_load(command, begun),
            GET_PROOF if purse => self.get_transaction_prove(command),
            SELECT | READ_BINARY | READ_RECORD | VERIFY | GET_CHALLENGE | GET_RESPONSE | GET_BALANCE
            | INITIALIZE | DEBIT | CREDIT | GET_PROOF => Err(StatusWord::WRONG_CLASS),
            _ => Err(StatusWord::UNKNOWN_INSTRUCTION),
        }
    }

    /// `80 50`: P1 tells what is begun.
    fn initialize(&mut self, command: &Command<'_>) -> Outcome {
        match command.p1 {
            0x00 => self.initialize_for_load(command),
            0x01 => self.initialize_for_purchase(command),
            _ => Err(StatusWord::WRONG_P1P2),
        }
    }
}

/// What a fuzzer calls: whatever bytes come, the card answers, and no money moves without a key. Each command in
/// `data` follows a byte that tells its length.
pub fn fuzz(data: &[u8]) {
    let masters = crate::issuer::Masters::public_lab();
    let mut personalisation = masters.personalise(crate::issuer::LAB_SERIAL);
    personalisation.interface = if data.first().is_some_and(|byte| byte & 1 == 1) {
        Interface::T0
    } else {
        Interface::Whole
    };
    let opening = Opening {
        ed: Minor(1000),
        ep: Minor(1000),
        sn: 0,
    };
    let mut card = Card::new(Arc::new(personalisation), opening);
    card.power_on();
    let mut rest = data;
    while let Some((&length, tail)) = rest.split_first() {
        let (apdu, tail) = tail.split_at(usize::from(length).min(tail.len()));
        rest = tail;
        let reply = card.process(apdu);
        assert!(
            matches!(&reply, CardReply::Answer(answer) if answer.len() >= 2),
            "{apdu:02X?} got {reply:02X?}"
        );
        assert_eq!(card.money(), 2000, "{apdu:02X?} moved money without a MAC");
    }
}
