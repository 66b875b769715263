# Copyright: (c) 2026, the xapi.xenserver authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""How the storage manager refuses: numbers and sentences (SM XE_SR_ERRORCODES.xml), and what xapi makes of them (X/sm_exec.ml)."""

from __future__ import annotations

from ...engine.failure import Failure, internal_error

SENTENCES = {
    "InvalidArg": (1, "Invalid argument"),
    "SRInUse": (16, "The SR device is currently in use"),
    "VDIInUse": (24, "The VDI is currently in use"),
    "SRNotEmpty": (39, "The SR is not empty"),
    "SRScan": (40, "The SR scan failed "),
    "SRExists": (42, "The SR already exists"),
    "VDIExists": (43, "The VDI already exists"),
    "SRNoSpace": (44, "There is insufficient space"),
    "VDIUnavailable": (46, "The VDI is not available"),
    "SRUnavailable": (47, "The SR is not available"),
    "FileSRCreate": (61, "File SR creation error"),
    "VDIType": (66, "Invalid VDI type"),
    "NFSVersion": (72, "Required NFS server version unsupported"),
    "NFSMount": (73, "NFS mount error"),
    "VDICreate": (78, "VDI Creation failed"),
    "VDISize": (79, "VDI Invalid size"),
    "VDIDelete": (80, "Failed to mark VDI hidden"),
    "VDIClone": (81, "Failed to clone VDI"),
    "VDISnapshot": (82, "Failed to snapshot VDI"),
    "ConfigLUNMissing": (87, "The request is missing the LUNid parameter"),
    "ConfigDeviceMissing": (90, "The request is missing the device parameter"),
    "ConfigDeviceInvalid": (91, "The device is not a valid path"),
    "ConfigLocationMissing": (94, "The request is missing the location parameter"),
    "ConfigTargetMissing": (95, "The request is missing the target parameter"),
    "ConfigTargetIQNMissing": (96, "The request is missing or has an incorrect target IQN parameter"),
    "ConfigServerPathMissing": (101, "The request is missing the serverpath parameter"),
    "ConfigServerMissing": (102, "The request is missing the server parameter"),
    "ConfigSCSIid": (107, "The SCSIid parameter is missing or incorrect"),
    "NFSTarget": (108, "Unable to detect an NFS service on this target."),
    "SnapshotChainTooLong": (109, "The snapshot chain is too long"),
    "SMBMount": (111, "SMB mount error"),
    "DNSError": (140, "Incorrect DNS name, unable to resolve."),
    "ISCSITarget": (141, "Unable to connect to ISCSI service on target"),
    "VDIMissing": (144, "VDI could not be found"),
    "ISOMountFailure": (222, "Could not mount the directory specified in Device Configuration"),
    "ISOLocationStringError": (
        225,
        "Incorrect Location string format. String must be in the format SERVER:PATH for NFS targets, or \\\\SERVER\\PATH for CIFS targets",
    ),
    "ISOLocalPath": (226, "Invalid local path"),
    "ISOInvalidXeMountOptions": (228, 'Require "-o" along with xe-mount-iso-sr'),
    "CBTActivateFailed": (457, "Unable to activate changed block tracking."),
    "CBTMetadataInconsistent": (459, "Changed block tracking log is in an inconsistent state."),
    "CBTChangedBlocksError": (460, "Failed to calculate changed blocks for given VDIs."),
}
# Numbers that xapi turns into errors of its own; the parameters are chosen by the caller.
OWN = {16: "SR_DEVICE_IN_USE", 24: "VDI_IN_USE", 39: "SR_NOT_EMPTY"}


# What the storage manager's number 38 is in xapi, where nobody expects it (X/sm_exec.ml).
NOT_IMPLEMENTED = "Smint.Not_implemented_in_backend"


class Unimplemented(Exception):
    """The driver has no such operation; xapi sometimes does it by itself then."""


def storage_error(kind: str, text: str) -> Failure:
    """What xapi makes of an error of its storage layer that has no code of the API (xapi-idl/storage/storage_interface.ml)."""
    return internal_error(f"Storage_error ([S({kind});S({text})])")


def uncaught(failure: Failure) -> Failure:
    """A refusal of the API where the storage layer expects none."""
    return storage_error("Internal_error", f"Server_error({failure.code}, [ {'; '.join(failure.params)} ])")


def sm_error(name: str, detail: str | None = None, *, text: str = "") -> Failure:
    """The failure that a storage manager's error becomes on the wire; `text` is what a probe prints beside it."""
    number, sentence = SENTENCES[name]
    if number in OWN:
        return Failure(OWN[number])
    if detail is not None:
        sentence = f"{sentence} [opterr={detail}]"
    return Failure(f"SR_BACKEND_FAILURE_{number}", "", sentence, text)
