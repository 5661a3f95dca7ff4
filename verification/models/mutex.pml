/* The mutex: one 64-bit state, changed only as a whole.
     low half, the futex word:  tid | W (waiters) | D (owner died)
     high half:                 INC (taken from a dead owner, not repaired since), epoch, cnt (announced waiters, stops at CAP)
   Every change of it is one compare-exchange in the code and one atomic step here. README.md tells the rules and what is shown;
   ./run checks every variant.

   A death: a process may be killed at any step, at most K kills in all. For the word of its pending operation or of a linked lock
   the kernel does: tid == me -> {tid 0, D}, and wakes one sleeper if W; else, if pending and tid == 0, wakes one sleeper.
   A sleeper killed after it was woken takes that wake-up with it; a waiter killed while announced stays counted.

   The bound that the code puts on every sleep is left out (but for BOUND), since it would hide each lost wake-up. A sleeper that
   may still be killed or give up is never stuck, so these hide hangs too: ./run takes every K from 0 up, and only process 1 gives up.

   HEAL: any release that finds waiters counted may heal, which covers every limit and every way to count useless wakes.
   LIMIT=n: heals after exactly n useless wakes in a row; at the end process N+1 shows that the count is gone. */
#ifndef N
#define N 3                            /* processes */
#endif
#ifndef K
#define K 1                            /* kills */
#endif
#ifndef R
#define R 2                            /* rounds of lock and unlock each */
#endif
#ifndef EPOCHS
#define EPOCHS 4                       /* the epoch wraps here; 1 = no epoch */
#endif
#ifndef CAP
#define CAP 200                        /* the count stops here, and then only a heal changes it */
#endif
#ifdef LIMIT
#define HEAL
#if N>3
#error "LIMIT looks at three sleepers"
#endif
#endif

byte tid = 0, cnt = 0, epoch = 0; bit W = 0, D = 0, INC = 0;      /* the state */
byte useless = 0;                      /* LIMIT: useless wakes in a row */
byte queue[N+2];                       /* the futex queue: 0 not in it, 1 asleep, 2 woken */
byte kills = 0;
byte holders = 0; bool broken = false; /* ghosts: how many are inside; a holder died and nobody has repaired since */
#if SEE==2
bool repaired = false;
#endif

inline wake_one() {
  if
  :: queue[1]==1 -> queue[1]=2
  :: queue[2]==1 -> queue[2]=2
#if N>2
  :: queue[3]==1 -> queue[3]=2
#endif
#if N>3
  :: queue[4]==1 -> queue[4]=2
#endif
  :: else
  fi
}
inline wake_all() {
  d_step {
    if :: queue[1]==1 -> queue[1]=2 :: else fi;
    if :: queue[2]==1 -> queue[2]=2 :: else fi;
#if N>2
    if :: queue[3]==1 -> queue[3]=2 :: else fi;
#endif
#if N>3
    if :: queue[4]==1 -> queue[4]=2 :: else fi;
#endif
    skip
  }
}
#ifdef OLD_KERNEL                      /* wakes for a pending entry only if the whole futex word is 0 */
#define FREE_FOR_KERNEL (tid==0 && W==0 && D==0)
#else
#define FREE_FOR_KERNEL (tid==0)
#endif
inline die(me) { atomic {
    kills++; queue[me]=0;
    if
    :: tid==me -> assert(pend||linked);                    /* else it is held, and the kernel cannot know */
       tid=0; D=1; if :: W -> wake_one() :: else fi
#ifndef NO_PENDING_WAKE
    :: tid!=me && pend && FREE_FOR_KERNEL -> wake_one()
#endif
    :: else
    fi;
    if :: inside -> holders--; broken=true :: else fi
  }; goto done }
#define MAYDIE(me) if :: atomic { kills<K -> die(me) } :: skip fi

inline announce() {
  if
  :: announced && e==epoch
  :: else -> announced=true; e=epoch; if :: cnt<CAP -> cnt++ :: else fi
  fi;
  W=1
}
inline uncount() {                     /* take my announcement back, if it is of the present epoch */
  if
  :: announced && e==epoch ->
#if EPOCHS>2 && !defined(CAP_FORGETS)
     assert(cnt>0); if :: cnt<CAP -> cnt-- :: else fi
#else
     if :: cnt>0 -> cnt-- :: else fi   /* may be another's: it must not go below 0 */
#endif
  :: else
  fi;
  announced=false; e=0
}
inline take(me) {                      /* tid is 0 */
  assert((D || INC) == broken);        /* told of a death exactly when there is one to tell of */
#if SEE==1
  assert(!(INC && !D));                /* "never told again after an unlock without repair" */
#elif SEE==2
  assert(!(repaired && !D && !INC));   /* "never taken untold after a repair" */
#elif SEE==3
  assert(epoch==0);                    /* "never taken after a heal" */
#endif
  uncount();
  died=D; INC=(INC|D); D=0; tid=me;
#if defined(HEAL) && !defined(HEIR_DROPS_W)
  W=(cnt>0 || died);
#else
  W=(cnt>0);
#endif
  inside=true; holders++; assert(holders==1)
}

proctype P(byte me; byte times) {
  bool pend=false, linked=false, inside=false, announced=false, died=false, ow=false;
  byte e=0;                            /* the epoch that I am announced in */
#ifdef BOUND_FOR_LATE
  bool late=false;
#endif
#ifdef EXACT
  byte seen=0;                         /* the holder that I announced myself under, as in the value given to futex_wait */
#endif
  do
  :: times>0 ->
     times--;
     pend=true; MAYDIE(me);
retry:
     atomic { if
     :: tid==0 -> take(me); goto got
     :: else -> announce();
#ifdef EXACT
        seen=tid
#endif
     fi };
     MAYDIE(me);
#ifdef HIGH_HALF_FIRST
     if :: epoch==e :: else -> goto retry fi;
#endif
     /* futex_wait. Without EXACT it sleeps under any holder, which covers TIDs that repeat. */
#ifdef EXACT
     atomic { if :: tid==seen && W==1 -> queue[me]=1 :: else -> goto retry fi };
#else
     atomic { if :: tid!=0 && W==1 -> queue[me]=1 :: else -> goto retry fi;
#ifdef BOUND_FOR_LATE
       late=(e!=epoch)                 /* a heal since I announced myself: I sleep and am not counted; the bound may wake me */
#endif
     };
#endif
#ifdef BOTH_HALVES                     /* futex_waitv: in the queue of the first word already, it compares the second */
     atomic { if
     :: epoch==e
     :: queue[me]=0; goto awake        /* another epoch, or another count */
     fi };
#endif
     do
     :: atomic { queue[me]==2 -> queue[me]=0; break }
     :: atomic { kills<K -> die(me) }
#ifdef BOUND
     :: atomic { queue[me]!=0 -> queue[me]=0; break }
#endif
#ifdef BOUND_FOR_LATE
     :: atomic { late -> queue[me]=0; break }
#endif
#ifdef TIMEOUT
     :: atomic { me==1 && queue[me]==1 -> queue[me]=0; goto giveup }
#endif
     od;
awake: MAYDIE(me);
#ifdef TIMEOUT
     if :: me==1 -> goto giveup :: goto retry fi;          /* woken at the very moment that it gives up */
#endif
     goto retry;

got: MAYDIE(me);
#if defined(HEAL) && !defined(HEIR_WAKES_NONE)
     if :: died ->                                         /* the dead one may have been healing */
        wake_all(); died=false; MAYDIE(me)
     :: else fi;
#endif
     linked=true; MAYDIE(me);
     pend=false; MAYDIE(me);
     /* inside: repair or not */
     if
     :: atomic { INC -> INC=0; broken=false;
#if SEE==2
        repaired=true
#endif
        }; MAYDIE(me)
     :: skip
     fi;
#ifdef UNLINK_BEFORE_PENDING
     linked=false; MAYDIE(me); pend=true; MAYDIE(me);
#else
     pend=true; MAYDIE(me); linked=false; MAYDIE(me);
#endif
#if defined(HEAL) && !defined(NEVER_HEALS)
     /* heal: still holding; one compare-exchange, wake all, then release as always */
     if
#ifdef LIMIT
     :: atomic { cnt>0 && useless>=LIMIT -> useless=0;
#else
     :: atomic { cnt>0 ->
#endif
        epoch=(epoch+1)%EPOCHS; cnt=0;
#ifdef HEAL_AT_RELEASE
        ow=false; tid=0; W=0; inside=false; holders-- };
        MAYDIE(me); wake_all(); goto released;
#else
        };
        MAYDIE(me);
#ifdef HEAL_WAKE_ONE
        atomic { wake_one() };
#else
        wake_all();
#endif
        MAYDIE(me)
#endif
#ifdef LIMIT
     :: !(cnt>0 && useless>=LIMIT)
#else
     :: skip
#endif
     fi;
#endif
     atomic { ow=W; tid=0; inside=false; holders--;
#ifdef FREE_WORD_0
        W=0;
#else
        W=(cnt>0);
#endif
#ifdef FORGET_INC
        INC=0
#endif
     };
     MAYDIE(me);
     atomic { if
     :: ow ->
#ifdef LIMIT
        if :: queue[1]==1 || queue[2]==1 || queue[N]==1 -> useless=0
           :: else -> if :: useless<LIMIT -> useless++ :: else fi
        fi;
#endif
        wake_one();
        ow=false
     :: else
     fi };
released: MAYDIE(me);
     pend=false;
     goto next;
#ifdef TIMEOUT
giveup: MAYDIE(me);
#ifndef NO_LAST_TRY
     atomic { if :: tid==0 -> take(me); goto got :: else fi };
     MAYDIE(me);
#endif
     atomic {                                              /* withdraw */
#if !defined(HEAL) || defined(WITHDRAW_CLEARS_W)
       if :: announced && e==epoch && cnt==1 && cnt<CAP -> W=0 :: else fi;
#endif
       uncount() };
     MAYDIE(me);
#ifndef NO_REWAKE
     atomic { if :: tid==0 -> wake_one() :: else fi };
#endif
     MAYDIE(me);
     pend=false;
#endif
next: skip
  :: else -> break
  od;
done: atomic { pend=false; linked=false; inside=false; announced=false; died=false; ow=false; e=0; times=0 }
}
init { atomic { run P(1,R); run P(2,R);
#if N>2
    run P(3,R);
#endif
#if N>3
    run P(4,R);
#endif
    skip };
#ifdef LIMIT
  atomic { _nr_pr==1 -> kills=K; useless=0; run P(N+1,LIMIT+1) };
  _nr_pr==1 -> assert(cnt==0 && W==0)
#endif
}
