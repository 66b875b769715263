#!/usr/bin/python
# Copyright: (c) 2026, the xapi.xenserver authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: xen_image_cache
short_description: Remove cached images that are no longer used
version_added: 0.1.0
author: the xapi.xenserver authors (@xapi)
description:
  - Removes images that M(xapi.xenserver.xen_image) keeps on a storage repository when no disk shares blocks with them any more. What an
    interrupted upload left behind is removed too.
  - Disks that were made from an image never need it, so removing one costs only its next upload. Check mode is a dry run.
extends_documentation_fragment:
  - xapi.xenserver.attributes
  - xapi.xenserver.connection
  - xapi.xenserver.timeout
options:
  state:
    description: V(pruned) means that no cached image is left that O(all) and O(keep_days) let go.
    type: str
    choices: [pruned]
    default: pruned
  sr:
    description: Name or uuid of the storage repository. The default one of the pool when it is left out.
    type: str
  all:
    description:
      - Whether images that are used go as well, whatever their age. The disks that share blocks with them stay as they are.
      - An image that is attached to a VM, or that another controller uploads at this moment, stays in any case.
    type: bool
    default: false
  keep_days:
    description:
      - Days that an unused image stays after it was cached.
      - An image that does not tell when it was cached goes only with O(all).
    type: int
    default: 0
notes:
  - An image that cannot be removed because somebody uses it at this moment is left with a warning.
seealso:
  - module: xapi.xenserver.xen_image
"""

EXAMPLES = r"""
- name: Images that nobody used for two weeks are gone
  xapi.xenserver.xen_image_cache:
    keep_days: 14

- name: Cache of a storage repository is empty
  xapi.xenserver.xen_image_cache:
    sr: NFS storage
    all: true
"""

RETURN = r"""
pruned:
  description: Uuids of the images that were removed, or would be in check mode.
  returned: always
  type: list
  elements: str
  sample: [5a9c2f0e-6d0a-4d6b-8f8a-2f4d5e8c7b1a]
images:
  description: The cached images that are left.
  returned: always
  type: list
  elements: dict
  contains:
    uuid: {description: Uuid of the disk., type: str, returned: always, sample: 5a9c2f0e-6d0a-4d6b-8f8a-2f4d5e8c7b1a}
    name: {description: Name of the disk., type: str, returned: always, sample: Glance Image debian}
    image_id: {description: Id of the image., type: str, returned: always, sample: debian}
    cached_time: {description: Seconds since 1970 when it was cached; null when nothing says so., type: int, returned: always, sample: 1795000000}
    size: {description: Bytes of the disk., type: int, returned: always, sample: 2147483648}
    state:
      description:
        - V(used) when disks share its blocks, V(attached) when a VM has it, V(uploading) while another task
          uploads it, V(unfinished) when its upload did not end, else V(unused).
      type: str
      returned: always
      sample: used
"""

from ..module_utils import _options
from ..module_utils._image_prune import CACHE_OPTIONS, plan_prune
from ..module_utils._module import run


def main() -> None:
    run(plan_prune, {**_options.state("pruned"), **CACHE_OPTIONS, **_options.timeout()})


if __name__ == "__main__":
    main()
