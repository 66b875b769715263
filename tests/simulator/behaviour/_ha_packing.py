# Copyright: (c) 2026, the xapi.xenserver authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""VMs onto hosts by their memory, whichever hosts fail (X/binpack.ml)."""

from __future__ import annotations

from bisect import insort
from collections.abc import Iterable
from dataclasses import dataclass, replace
from itertools import combinations, permutations
from math import perm

# More hosts, or more ways in which they can fail, than are tried one by one.
HOSTS_MOST, WAYS_MOST = 32, 3500


@dataclass(frozen=True)
class Packing:
    """Who has how much memory to spare, who needs how much, and who is where."""

    hosts: dict[str, int]
    vms: dict[str, int]
    places: dict[str, str]  # VM → host
    total: int  # hosts there are, alive or not
    failures: int

    def places_for(self, vms: Iterable[str]) -> dict[str, str]:
        """The largest first, each where most is free; what does not fit even there is left out."""
        bins = sorted(((-free, number, host) for number, (host, free) in enumerate(self.hosts.items())))
        found = {}
        for vm in sorted(vms, key=lambda ref: -self.vms[ref]):
            if bins and -bins[0][0] >= self.vms[vm]:
                free, _number, host = bins.pop(0)
                found[vm] = host
                # Of equals the one just filled comes first.
                insort(bins, (free + self.vms[vm], -len(found), host))
        return found

    def after(self, plan: dict[str, str]) -> Packing:
        hosts = {host: free - sum(self.vms[vm] for vm, place in plan.items() if place == host) for host, free in self.hosts.items()}
        return replace(self, hosts=hosts, places={**self.places, **plan})

    def survives(self) -> bool:
        """Whether a place is left for every VM when as many hosts fail as are to be reckoned with."""
        if not 0 <= self.failures <= self.total or len(self.hosts) < self.failures or (len(self.hosts) == self.failures and self.vms):
            return False
        if self.total > HOSTS_MOST or perm(self.total, self.failures) >= WAYS_MOST:
            return self._survives_the_worst()
        return all(self._survives(order) for hosts in combinations(self.hosts, self.failures) for order in permutations(hosts))

    def _survives(self, order: Iterable[str]) -> bool:
        """The hosts fail one after the other, and each time VMs find places before the next one does."""
        now = self
        for host in order:
            lost = [vm for vm, place in now.places.items() if place == host]
            now = replace(now, hosts={other: free for other, free in now.hosts.items() if other != host})
            plan = now.places_for(lost)
            if len(plan) < len(lost):
                return False
            now = now.after(plan)
        return True

    def _survives_the_worst(self) -> bool:
        """As if the largest hosts failed, those with the most VMs, and all of these were as large as the largest."""
        if not self.vms:
            return True
        largest = max(self.vms.values())
        room = sorted((free // largest for free in self.hosts.values()), reverse=True)[self.failures :]
        lost = sorted((sum(place == host for place in self.places.values()) for host in self.hosts), reverse=True)[: self.failures]
        return sum(lost) <= sum(room)
