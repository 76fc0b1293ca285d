/* SPDX-License-Identifier: MIT
 * A group's limit: callers of cadre_go who take a slot or wait for one, against tasks that end. Never do more tasks run than
 * the limit says, and nobody waits for a slot for ever.
 *
 * cc: -DSAFETY -DCOLLAPSE
 * pan: -m200000
 * broken: -DBROKEN_LOOK_BEFORE_WANTED
 * broken: -DBROKEN_END_IN_TWO
 * broken: -DBROKEN_HAND_ON_ONCE
 * broken: -DBROKEN_PLAIN_END_UNSEEN
 *
 * Steps and source: admit, take_slot, has_room, serve, dispatch: the functions of these names in src/group/limit.c
 * (cdr_group_admit, cdr_group_dispatch, wait_for_room). end, hand_on, end_local: cdr_group_end and hand_on in
 * src/group/count.c. The word is slots, count and the flag `wanted`, changed in one step.
 *
 * Either the limit is an option of the group, and slots alone say how many run; or it was set later (late): then `veteran`, a
 * task without a slot that was started before, counts too, as whatever is counted and has no slot. It ends by the owner's
 * plain store to p_ended, for which a starter's membarrier decides whether it comes before the starter looks or sees the
 * flag; memory is sequentially consistent here, and the store is one step.
 *
 * A task that has handed its slot on still counts until it has left, so with a late limit it keeps others out as the veteran
 * does: while somebody waits it must leave under the lock, again and again if need be.
 *
 * Left out: the queue of tasks (served as starters are, before them), helping, stopping, deadlock of the holders of all
 * slots. */
#define STARTERS 3

byte limit, slots = 0, count = 0, ended = 0;
bool wanted = false, late, locked = false;
chan starters = [STARTERS] of { byte };
bool admitted[STARTERS];
byte running = 0, come = 0, finished = 0;

inline lock() { atomic { !locked -> locked = true } }
inline unlock() { locked = false }
inline start_task() { running++; assert(running <= limit) }

/* The lock is held, so slots only fall meanwhile; the load of the word and of `ended` are two steps in the source, which can only
 * make the count too large while `ended` is about to be looked at again. */
inline has_room(leaving)
{
    d_step {
        used = slots;
        if
        :: late && count > ended + slots + leaving -> used = count - ended - leaving
        :: else
        fi;
        room = (used < limit);
        used = 0
    }
}

inline serve(leaving)
{
    atomic {
        do
        :: has_room(leaving);
            if
            :: room && len(starters) > 0 ->
                starters?who;
                count++;
                slots++;
                start_task();
                admitted[who] = true;
                who = 0
            :: else -> room = false; break
            fi
        od
    }
}

inline dispatch(leaving)
{
    serve(leaving);
    if
    :: len(starters) == 0 -> wanted = false
    :: else
    fi
}

/* left: the task is out already. */
inline hand_on()
{
    lock();
    if
    :: slot -> slots--
    :: else
    fi;
    dispatch(1);
    if
    :: !slot && wanted -> left = true; count--
    :: else
    fi;
    slot = false;
    unlock()
}

inline end_shared()
{
    do
    :: atomic { old_slots = slots; old_count = count; old_wanted = wanted };
#ifdef BROKEN_HAND_ON_ONCE
        if
        :: old_wanted && !handed -> hand_on(); handed = true; atomic { old_slots = slots; old_count = count; old_wanted = wanted }
        :: else
        fi;
        if
        :: left -> break
        :: else
        fi;
#else
        if
        :: old_wanted -> hand_on()
        :: else
        fi;
        if
        :: left -> break
        :: !left && old_wanted -> goto again
        :: else
        fi;
#endif
#ifdef BROKEN_END_IN_TWO
        atomic { count--; slots = slots - slot };
        break;
#else
        atomic {
            if
            :: slots == old_slots && count == old_count && wanted == old_wanted -> count--; slots = slots - slot; break
            :: else
            fi
        };
#endif
again:
        skip
    od
}

inline admit()
{
    atomic {    /* take_slot */
        slot = (!late && !wanted && slots < limit);
        if
        :: slot -> count++; slots++; start_task()
        :: else
        fi
    };
    if
    :: slot
    :: else ->
        lock();
#ifdef BROKEN_LOOK_BEFORE_WANTED
        has_room(0);
        slot = room && len(starters) == 0;
        wanted = true;
        serve(0);
#else
        wanted = true;
        serve(0);
        has_room(0);
        slot = room && len(starters) == 0;
#endif
        if
        :: slot -> atomic { count++; slots++; start_task() }
        :: else -> starters!me
        fi;
        if
        :: len(starters) == 0 -> wanted = false
        :: else
        fi;
        unlock();
        if
        :: slot
        :: else -> admitted[me]; slot = true
        fi
    fi
}

active [STARTERS] proctype starter()
{
    byte me = _pid, who, used, old_slots, old_count;
    bool slot, room, left, old_wanted, handed;

    atomic { limit > 0 && come == me -> come++ };    /* they are alike: one order is enough */
    admit();
    atomic { running--; room = false };
    end_shared();
    atomic { finished++; old_slots = 0; old_count = 0; old_wanted = false; slot = false; left = false; handed = false }
}

active proctype veteran()
{
    byte who, used, old_slots, old_count;
    bool slot, room, left, old_wanted, handed;

    atomic {
        if
        :: late = false; limit = 1
        :: late = false; limit = 2
        :: late = true; count = 1; running = 1; limit = 1
        fi
    };
    if
    :: late ->
        running--;
        if
        :: wanted -> end_shared()
        :: else ->
            ended++;
            if
#ifdef BROKEN_PLAIN_END_UNSEEN
            :: false
#else
            :: wanted -> ended--; end_shared()
#endif
            :: else
            fi
        fi
    :: else
    fi
}

active proctype check()
{
    timeout -> assert(finished == STARTERS && slots == 0 && count == ended && !wanted)
}
