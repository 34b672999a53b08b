//! SELECT and READ BINARY over the PSAM's few files.

use super::{Psam, Session};
use crate::card::apdu::Command;
use crate::card::{Outcome, Reply, StatusWord};

/// The name of the MF.
const MF_NAME: &[u8] = b"1PAY.SYS.DDF01";
/// The file id of the MF.
const MF_ID: u16 = 0x3F00;
/// P2 of SELECT that asks for no selection answer.
const NO_ANSWER: u8 = 0x0C;

/// Which directory is selected.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Directory {
    #[default]
    Mf,
    Purchase,
}

/// The elementary files of the MF. Keys are in no file that can be selected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum FileId {
    /// 0015.
    PsamInfo,
    /// 0016.
    TerminalNumber,
}

impl FileId {
    fn from_id(id: u16) -> Option<Self> {
        match id {
            0x0015 => Some(Self::PsamInfo),
            0x0016 => Some(Self::TerminalNumber),
            _ => None,
        }
    }
}

impl Psam {
    /// `00 A4 04 P2 Lc name` and `00 A4 00 P2 02 id`.
    pub(super) fn select(&mut self, command: &Command<'_>) -> Outcome {
        if !matches!(command.p2, 0x00 | NO_ANSWER) {
            return Err(StatusWord::WRONG_P1P2);
        }
        match command.p1 {
            0x04 if command.data.is_empty() => Err(StatusWord::WRONG_LENGTH),
            0x04 if command.data == self.personalisation.adf_name.bytes() => self.select_adf(command.p2),
            0x04 if command.data == MF_NAME => self.select_mf(command.p2),
            0x04 => Err(StatusWord::FILE_NOT_FOUND),
            0x00 if !command.has_data => self.select_mf(command.p2),
            0x00 => match u16::from_be_bytes(*command.exactly::<2>()?) {
                MF_ID => self.select_mf(command.p2),
                id if id == self.personalisation.adf_id => self.select_adf(command.p2),
                id => {
                    self.session.file = Some(self.file_here(id)?);
                    Reply::ok(Vec::new())
                }
            },
            _ => Err(StatusWord::WRONG_P1P2),
        }
    }

    fn select_mf(&mut self, p2: u8) -> Outcome {
        self.session = Session::default();
        Reply::ok(selection_answer(p2, MF_NAME))
    }

    fn select_adf(&mut self, p2: u8) -> Outcome {
        self.session = Session {
            directory: Directory::Purchase,
            ..Session::default()
        };
        let status = if self.is_locked() {
            StatusWord::APPLICATION_BLOCKED_WARNING
        } else {
            StatusWord::OK
        };
        let data = selection_answer(p2, self.personalisation.adf_name.bytes());
        Ok(Reply { data, status })
    }

    /// `00 B0 (80|SFI) offset Le`, or `00 B0 offset offset Le` on the selected file.
    pub(super) fn read_binary(&mut self, command: &Command<'_>) -> Outcome {
        command.without_data()?;
        let (file, offset) = match command.p1 {
            high @ 0x00..=0x7F => {
                let file = self.session.file.ok_or(StatusWord::NO_CURRENT_FILE)?;
                (file, usize::from(u16::from_be_bytes([high, command.p2])))
            }
            sfi @ 0x80..=0x9F => {
                let file = self.file_here(u16::from(sfi & 0x1F))?;
                (file, usize::from(command.p2))
            }
            0xA0..=0xFF => return Err(StatusWord::WRONG_P1P2),
        };
        self.session.file = Some(file);
        let content = match file {
            FileId::PsamInfo => self.psam_info().to_vec(),
            FileId::TerminalNumber => self.personalisation.terminal_number.0.to_vec(),
        };
        let rest = content
            .get(offset..)
            .filter(|rest| !rest.is_empty())
            .ok_or(StatusWord::WRONG_OFFSET)?;
        let asked = match command.le {
            None | Some(0) => rest.len(),
            Some(le) => rest.len().min(usize::from(le)),
        };
        Reply::ok(rest[..asked].to_vec())
    }

    /// The file, if the selected directory has one.
    fn file_here(&self, id: u16) -> Result<FileId, StatusWord> {
        match self.session.directory {
            Directory::Mf => FileId::from_id(id).ok_or(StatusWord::FILE_NOT_FOUND),
            Directory::Purchase => Err(StatusWord::FILE_NOT_FOUND),
        }
    }

    /// File 0015: serial number (10), version, key-card type, issuer's FCI data (2).
    fn psam_info(&self) -> [u8; 14] {
        let fixed = &self.personalisation;
        let mut info = [0; 14];
        info[..10].copy_from_slice(&fixed.serial.0);
        info[10] = fixed.version;
        info[11] = fixed.key_card_type;
        info
    }
}

/// `6F L 84 L name`.
fn selection_answer(p2: u8, name: &[u8]) -> Vec<u8> {
    if p2 == NO_ANSWER {
        return Vec::new();
    }
    let length = u8::try_from(name.len()).expect("a name has at most 16 bytes");
    let mut answer = vec![0x6F, length + 2, 0x84, length];
    answer.extend_from_slice(name);
    answer
}
