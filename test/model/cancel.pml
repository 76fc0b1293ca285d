/* SPDX-License-Identifier: MIT
 * Contexts: blocked calls link themselves, and the contexts above them, only while they are blocked; the end of a context
 * walks down these links. Every call that stays blocked under it is told, and no link stays behind.
 *
 * cc: -DSAFETY -DCOLLAPSE
 * pan: -m200000
 * broken: -DBROKEN_NO_LOOK_AFTER_ADDING
 * broken: -DBROKEN_REMOVE_UNSEEN
 * broken: -DBROKEN_ADD_ONLY_ONCE
 * broken: -DBROKEN_TELL_UNLOCKED
 * broken: -DBROKEN_HOOK_WHILE_ATTACHING
 *
 * Steps and source: block, attach with add, detach with remove: cdr_block_enter, cdr_ctx_attach, cdr_ctx_detach,
 * cdr_block_leave (src/sync/link.c); look: cdr_ctx_find_ending (src/sync/context.c). end_top, end_middle, end_child: end and
 * cdr_ctx_tell there. tell_call: cdr_ctx_tell and cdr_wait_claim (src/sched/park.h).
 *
 * Three contexts: TOP above MIDDLE above CHILD. A list of links is a set of bits: which call, or the context below. The walk
 * under the lock sees a fixed list, since links come and go under that lock only; so its order does not matter. What detach
 * reads of the child's list without the child's lock is one load.
 *
 * `stayer` blocks under CHILD until it is told. `guest` blocks under CHILD twice, and `other` under MIDDLE, until they are
 * told or something else wakes them. MIDDLE or TOP ends. CHILD is gone as soon as nobody is under it.
 *
 * Hooks are links like calls; what differs is that they may leave from within the callback. With BROKEN_HOOK_WHILE_ATTACHING
 * that callback is made before attach is through with the contexts above; the source collects what is due and runs it later.
 * Left out: deadlines, causes, waiting in unhook. */
#define TOP 0
#define MIDDLE 1
#define CHILD 2

#define BELOW 1     /* bits in a list: the context below */
#define STAYER 2
#define GUEST 4
#define OTHER 8

byte links[3];
bool locked[3], ended[3];
bool claimed[9], told[9], here[9];    /* by bit; here: the call is blocked, its link is alive */
bool child_gone = false;
byte under_child = 2;

inline lock(c) { atomic { !locked[c] -> locked[c] = true } }
inline unlock(c) { locked[c] = false }

/* ---- the end ---- */

inline tell_call(c, call)
{
    if
    :: links[c] & call ->
        atomic {
            assert(here[call]);
            if
            :: !claimed[call] -> claimed[call] = true; told[call] = true
            :: else
            fi
        }
    :: else
    fi
}

inline end_child()
{
    assert(!child_gone);
    lock(CHILD);
    ended[CHILD] = true;
    tell_call(CHILD, STAYER);
    tell_call(CHILD, GUEST);
    assert(!child_gone);
    unlock(CHILD)
}

inline end_middle()
{
    lock(MIDDLE);
    ended[MIDDLE] = true;
#ifdef BROKEN_TELL_UNLOCKED
    walk = links[MIDDLE];
    unlock(MIDDLE);
    if
    :: walk & OTHER -> tell_call(MIDDLE, OTHER)
    :: else
    fi;
    if
    :: walk & BELOW -> end_child()
    :: else
    fi
#else
    tell_call(MIDDLE, OTHER);
    if
    :: links[MIDDLE] & BELOW -> end_child()
    :: else
    fi;
    unlock(MIDDLE)
#endif
}

inline end_top()
{
    lock(TOP);
    ended[TOP] = true;
    if
    :: links[TOP] & BELOW -> end_middle()
    :: else
    fi;
    unlock(TOP)
}

/* ---- linking ---- */

/* One round of the loop in attach; `above` says whether the next one is needed. */
inline add(c, link)
{
    lock(c);
    above = (links[c] == 0);
    links[c] = links[c] | link;
#ifndef BROKEN_NO_LOOK_AFTER_ADDING
    if
    :: ended[c] && link == BELOW && c == MIDDLE -> end_child()
    :: ended[c] && link == BELOW && c == TOP -> end_middle()
    :: ended[c] && link != BELOW -> tell_call(c, link)
    :: else
    fi;
#endif
    unlock(c)
}

/* One round of the loop in detach. */
inline remove(c, link)
{
    lock(c);
    above = false;
    if
#ifdef BROKEN_REMOVE_UNSEEN
    :: links[c] & link ->
#else
    :: (links[c] & link) && (link != BELOW || links[c + 1] == 0) ->
#endif
        links[c] = links[c] & ~link;
        above = (links[c] == 0)
    :: else
    fi;
    unlock(c)
}

inline attach(c, me)
{
    add(c, me);
#ifdef BROKEN_HOOK_WHILE_ATTACHING
    if
    :: told[me] ->
        walk = above;
        detach(c, me);
        above = walk
    :: else
    fi;
#endif
    if
    :: above && c == CHILD ->
#ifdef BROKEN_ADD_ONLY_ONCE
        if
        :: links[MIDDLE] & BELOW -> above = false
        :: else -> add(MIDDLE, BELOW)
        fi
#else
        add(MIDDLE, BELOW)
#endif
    :: else
    fi;
    if
    :: above -> add(TOP, BELOW)
    :: else
    fi
}

inline detach(c, me)
{
    remove(c, me);
    if
    :: above && c == CHILD -> remove(MIDDLE, BELOW)
    :: else
    fi;
    if
    :: above -> remove(TOP, BELOW)
    :: else
    fi
}

/* find_ending: the call's own context and those above, from below upwards; sets `live`. */
inline look(c)
{
    live = !ended[c];
    if
    :: live && c == CHILD -> live = !ended[MIDDLE]
    :: else
    fi;
    if
    :: live -> live = !ended[TOP]
    :: else
    fi
}

inline block(c, me, may_give_up)
{
    look(c);
    if
    :: live ->
        atomic { here[me] = true; claimed[me] = false; told[me] = false };
        attach(c, me);
        if
        :: told[me]
        :: atomic { may_give_up && !claimed[me] -> claimed[me] = true }
        fi;
        detach(c, me);
        here[me] = false
    :: else
    fi
}

inline leave_child()
{
    atomic {
        under_child--;
        if
        :: under_child == 0 -> child_gone = true; assert(links[CHILD] == 0 && !(links[MIDDLE] & BELOW))
        :: else
        fi
    }
}

active proctype stayer()
{
    bool above, live;
    byte walk;

    block(CHILD, STAYER, false);
    leave_child()
}

active proctype guest()
{
    bool above, live;
    byte walk;

    block(CHILD, GUEST, true);
    block(CHILD, GUEST, true);
    leave_child()
}

active proctype other()
{
    bool above, live;
    byte walk;

    block(MIDDLE, OTHER, true)
}

active proctype ender()
{
    byte walk;

    if
    :: end_top()
    :: end_middle()
    fi
}

active proctype check()
{
    timeout -> assert(under_child == 0 && links[TOP] == 0 && links[MIDDLE] == 0 && links[CHILD] == 0)
}
