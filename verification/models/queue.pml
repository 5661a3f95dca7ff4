/* The queue's waiting protocol: two sides, 0 producers, 1 consumers, and a count of messages.
     of each side, changed only as a whole:  tid | W (waiters) | D (owner died), ann (announced followers), ev (a wait of the other side's
     leader, 0: none), asleep (the holder only waits);  beside it: bell.
   A leader holds its side and sleeps on the other side's word and on its bell; followers sleep on their own side's word. Whoever finds its side's
   holder asleep and something to do takes the side from it. README.md tells the rules and what is shown; ./run checks every variant.

   Futexes: a sleeper is in the queue of each word that it sleeps on, and stays in the others when it was woken on one, until it runs: a
   wake-up that meets such an entry is spent on one that is awake. Of several words that it was woken on the kernel tells only the last.

   A death: a process may be killed at any step, at most K kills in all. For the word of its pending operation, its own side's, the kernel does:
   tid == me -> {tid 0, D}, and wakes one sleeper on the word if W; tid == 0: wakes one sleeper on it.

   When nothing can happen any more, whoever sleeps must have a reason, and somebody who will wake it. The bound on sleeps and the close are
   left out. Deaths between the commit and the position's step need no waking, so they are left to the crash points. */
#ifndef P
#define P 2                            /* producers: processes 0 .. P-1 */
#endif
#ifndef C
#define C 2                            /* consumers */
#endif
#ifndef K
#define K 1                            /* kills */
#endif
#ifndef RP
#define RP 1                           /* puts of each */
#endif
#ifndef RC
#define RC 1                           /* gets of each */
#endif
#ifndef CAP
#define CAP 1
#endif
#define N (P+C)
#define NONE 15                        /* nobody */
#define BELLS 8

#define READY(s) ((s==0 && msgs<CAP) || (s==1 && msgs>0))

byte msgs = 0;
byte tid[2] = NONE; bit W[2]; bit D[2]; byte ann[2]; byte ev[2]; bit asleep[2];
byte bell[2];
byte kills = 0;
/* of each process: the side whose word it is queued on + 1; likewise bell; it was woken; by which */
byte onword[N]; byte onbell[N]; bit woken[N]; bit byword[N]; bit bybell[N];
/* of each process: the wait that it leads, those that it rings for. A new wait has a number that none of these is: the code has 1024 */
byte number[N]; byte rung[N]; byte old[N];
bit leads[N];                          /* ghost: it sleeps as a leader */
byte side_of[N];                       /* ghost */
bit done[N];

inline wake_word_one(side) {              /* any one: the kernel's order is not relied on */
  if
  :: onword[0]==(side)+1 -> onword[0]=0; woken[0]=1; byword[0]=1
  :: onword[1]==(side)+1 -> onword[1]=0; woken[1]=1; byword[1]=1
#if P+C>2
  :: onword[2]==(side)+1 -> onword[2]=0; woken[2]=1; byword[2]=1
#endif
#if P+C>3
  :: onword[3]==(side)+1 -> onword[3]=0; woken[3]=1; byword[3]=1
#endif
  :: else
  fi
}
inline wake_word_all(side) {
  i=0;
  do
  :: i<N -> if :: onword[i]==(side)+1 -> onword[i]=0; woken[i]=1; byword[i]=1 :: else fi; i++
  :: else -> i=0; break
  od
}
inline wake_bell(side) {                  /* how many: rang */
  i=0; rang=0;
#ifdef BELL_WAKES_ONE
  if
  :: onbell[0]==(side)+1 -> onbell[0]=0; woken[0]=1; bybell[0]=1; rang=1
  :: onbell[1]==(side)+1 -> onbell[1]=0; woken[1]=1; bybell[1]=1; rang=1
#if P+C>2
  :: onbell[2]==(side)+1 -> onbell[2]=0; woken[2]=1; bybell[2]=1; rang=1
#endif
#if P+C>3
  :: onbell[3]==(side)+1 -> onbell[3]=0; woken[3]=1; bybell[3]=1; rang=1
#endif
  :: else
  fi
#else
  do
  :: i<N -> if :: onbell[i]==(side)+1 -> onbell[i]=0; woken[i]=1; bybell[i]=1; rang++ :: else fi; i++
  :: else -> i=0; break
  od
#endif
}

inline die() { atomic {
    kills++; onword[me]=0; onbell[me]=0; woken[me]=0;
    if
    :: pend && tid[s]==me -> tid[s]=NONE; D[s]=1;
       if :: W[s] -> wake_word_one(s) :: else fi
    :: pend && tid[s]==NONE -> wake_word_one(s)
    :: else
    fi
  }; goto over }
#if K>0
#define MAYDIE if :: atomic { kills<K -> die() } :: skip fi
#else
#define MAYDIE skip
#endif

/* the wake calls for a wait of the other side's leader that stands in this side's word; bell changed before */
inline ring(which, wait) {
  d_step { wake_bell(which) };
  MAYDIE;
  d_step { if :: ev[which]==wait -> ev[which]=0 :: else fi; wait=0 }
}

proctype X(byte me; byte s; byte times) {
  bit pend=0, announced=0, died=0, holds=0, gaveup=0;
  byte seen=0, rang=0, i=0, extid=0, had=0;
  bit exD=0;
  do
  :: times>0 ->
     times--;
     pend=1; MAYDIE;
follow:
     atomic { if
     :: tid[s]==NONE || (asleep[s] && READY(s)) ->
        if :: announced -> ann[s]--; announced=0 :: else fi;
        died=D[s]; D[s]=0; asleep[s]=0; tid[s]=me; W[s]=(died || ann[s]>0 || ev[s]!=0);
        goto got
     :: else ->
        if :: !announced -> announced=1; ann[s]++ :: else fi;
        W[s]=1
     fi };
     MAYDIE;
     /* futex_wait: under any holder, which covers what the word may repeat */
     atomic { if :: tid[s]!=NONE && W[s] -> onword[me]=s+1 :: else -> goto follow fi };
endfollower:
     do
     :: atomic { woken[me] -> woken[me]=0; byword[me]=0; break }
     :: atomic { kills<K -> die() }
#ifdef TIMEOUT
     :: atomic { me==TIMEOUT -> onword[me]=0; woken[me]=0; byword[me]=0; goto withdraw }
#endif
     od;
     MAYDIE;
     goto follow;

got: MAYDIE;
     if :: died -> d_step { wake_word_all(s); died=0 }; MAYDIE :: else fi;
     if :: READY(s) -> goto work :: else fi;
#ifndef NO_OWN_RING
     /* the other side's leader may wait for us, left so by a dead one */
     atomic { if :: ev[s]!=0 -> old[me]=ev[s]; bell[s]=(bell[s]+1)%BELLS :: else fi };
     if :: old[me]!=0 -> MAYDIE; ring(s, old[me]); MAYDIE :: else fi;
#endif
lead:
     asleep[s]=1; MAYDIE;
     seen=bell[1-s];
mark:
#ifndef OVERWRITE
     atomic { if :: ev[1-s]!=0 -> old[me]=ev[1-s]; bell[1-s]=(bell[1-s]+1)%BELLS :: else fi };
     if :: old[me]!=0 -> MAYDIE; ring(1-s, old[me]); MAYDIE :: else fi;
#endif
     atomic {
#ifndef OVERWRITE
        if :: ev[1-s]!=0 -> goto mark :: else fi;
#endif
        i=0; rang=1;
        do
        :: i<N && (number[i]==rang || rung[i]==rang || old[i]==rang) -> rang++; i=0
        :: i<N && !(number[i]==rang || rung[i]==rang || old[i]==rang) -> i++
        :: i==N -> break
        od;
        number[me]=rang; ev[1-s]=rang; rang=0; i=0;
        if :: tid[1-s]!=NONE -> W[1-s]=1 :: else fi;
        extid=tid[1-s]; had=W[1-s]; exD=D[1-s]
     };
     MAYDIE;
     if :: READY(s) -> goto awake :: else fi;
     /* futex_waitv: compares and queues one word after the other */
#ifdef NOT_ON_WORD
     skip;
#else
     atomic { if :: tid[1-s]==extid && W[1-s]==had && D[1-s]==exD -> onword[me]=1-s+1; leads[me]=1 :: else -> goto awake fi };
#endif
     atomic { if :: bell[1-s]==seen -> onbell[me]=1-s+1; leads[me]=1 :: else -> goto stirred fi };
endleader:
     do
     :: atomic { woken[me] -> break }
     :: atomic { kills<K -> leads[me]=0; die() }
#ifdef TIMEOUT
     :: atomic { me==TIMEOUT && !woken[me] -> gaveup=1; break }
#endif
     od;
stirred:
     atomic { onword[me]=0; onbell[me]=0; leads[me]=0; woken[me]=0;
       had=byword[me] && !bybell[me]; byword[me]=0; bybell[me]=0 };
     MAYDIE;
#ifdef NO_PASS_ON
     skip;
#elif defined(PASS_ON_IF_TOLD)
     atomic { if :: had && tid[1-s]==NONE && ann[1-s]>0 -> wake_word_one(1-s) :: else fi };
#else
     atomic { if :: tid[1-s]==NONE && ann[1-s]>0 -> wake_word_one(1-s) :: else fi };
#endif
     MAYDIE;
awake:
     atomic { if :: ev[1-s]==number[me] -> ev[1-s]=0 :: else fi; number[me]=0 };
     MAYDIE;
     atomic { if :: tid[s]==me -> asleep[s]=0; holds=1 :: else -> holds=0 fi };
     MAYDIE;
     if
     :: holds && READY(s) -> gaveup=0; goto work
     :: holds && !READY(s) -> if :: gaveup -> gaveup=0; goto leave :: else -> goto lead fi
     :: !holds -> if :: gaveup -> gaveup=0; pend=0; goto next :: else -> goto follow fi
     fi;

work: MAYDIE;
     atomic { assert(READY(s) && tid[s]==me); if :: s==0 -> msgs++ :: else -> msgs-- fi };
     MAYDIE;
leave:
     rung[me]=0;
release:
#ifndef BELL_AFTER_RELEASE
     atomic { old[me]=ev[s]; if :: old[me]!=0 && old[me]!=rung[me] -> bell[s]=(bell[s]+1)%BELLS; rung[me]=old[me] :: else fi };
     MAYDIE;
#else
     atomic { rung[me]=ev[s]; old[me]=rung[me] };
#endif
#ifdef CLEAR_BEFORE_WAKE
     atomic { if :: ev[s]!=old[me] -> goto release :: else -> tid[s]=NONE; W[s]=0; asleep[s]=0; had=(ann[s]>0); ev[s]=0; old[me]=0 fi };
#else
     atomic { if :: ev[s]!=old[me] -> goto release :: else -> tid[s]=NONE; W[s]=0; asleep[s]=0; had=(ann[s]>0); old[me]=0 fi };
#endif
     MAYDIE;
     rang=0;
#ifdef BELL_AFTER_RELEASE
     if :: rung[me]!=0 -> bell[s]=(bell[s]+1)%BELLS; MAYDIE :: else fi;
#endif
     if :: rung[me]!=0 -> ring(s, rung[me]); if :: rang==0 -> rang=1 :: else fi; MAYDIE :: else fi;
     atomic { if
     :: had ->
        wake_word_one(s);
#ifndef NOT_ONE_MORE
        do :: rang>0 -> rang--; wake_word_one(s) :: else -> break od;
#endif
        had=0
     :: else fi; rang=0 };
     MAYDIE;
     pend=0;
     goto next;
#ifdef TIMEOUT
withdraw: MAYDIE;
     atomic { if :: announced -> ann[s]--; announced=0 :: else fi };
     MAYDIE;
     atomic { if :: tid[s]==NONE -> wake_word_one(s) :: else fi };
     MAYDIE;
     pend=0;
#endif
next: skip
  :: else -> break
  od;
over: atomic { done[me]=1; pend=0; announced=0; died=0; holds=0; gaveup=0; number[me]=0; seen=0; old[me]=0; rung[me]=0; rang=0; i=0; extid=0; had=0; exD=0; times=0 }
}

/* Nothing can happen any more. */
proctype Monitor() {
  byte p=0;
end: timeout -> atomic {
    do
    :: p<N ->
       if
       :: !done[p] ->
          assert(!READY(side_of[p]));                      /* asleep beside a message, or room */
          if
          :: leads[p] -> assert(ev[1-side_of[p]]!=0)       /* nobody will wake it, though its side may have been taken from it */
          :: else -> assert(tid[side_of[p]]!=NONE)         /* a follower beside a free side */
          fi
       :: else
       fi;
       p++
    :: else -> break
    od }
}

init { atomic {
    byte n=0;
    do
    :: n<P -> side_of[n]=0; run X(n,0,RP); n++
    :: n>=P && n<N -> side_of[n]=1; run X(n,1,RC); n++
    :: n==N -> break
    od;
    run Monitor() } }
